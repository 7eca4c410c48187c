import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ["test/packages/*.test.ts"],
    reporters: ["default", "./scripts/summary-reporter.ts"],
    // npm downloads, and TypeScript 5.9 checks all types of `effect`: minutes on a busy machine.
    testTimeout: 600_000,
    hookTimeout: 600_000
  }
})
