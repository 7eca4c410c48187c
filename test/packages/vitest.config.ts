import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ["test/packages/*.test.ts"],
    reporters: ["default", "./scripts/summary-reporter.ts"],
    // Downloads of npm and checks of TypeScript 5.9 take minutes on a busy machine.
    testTimeout: 600_000,
    hookTimeout: 600_000
  }
})
