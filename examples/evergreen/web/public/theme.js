// Before the first paint, so that no other theme flashes. A file, because the Content-Security-Policy allows no inline script.
try {
  for (const name of ["theme", "density"]) {
    const value = localStorage.getItem(name)
    if (value) document.documentElement.dataset[name] = value
  }
} catch {
  // A browser that keeps nothing shows the theme of the system.
}
