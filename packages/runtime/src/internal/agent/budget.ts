/** The budget of a task. */
import { AgentError } from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"

export const budgetExceeded = (limit: string): AgentError =>
  new AgentError({
    error: "BudgetExceeded",
    detail: `The task has used its ${limit}.`,
    retryable: false
  })

/** Counts the tokens of a step, beside the tokens that the task used before. */
export class Meter {
  spent = Usage.zero
  readonly #before: Usage.Usage
  readonly #maxTotalTokens: number | undefined

  constructor(before: Usage.Usage, maxTotalTokens: number | undefined) {
    this.#before = before
    this.#maxTotalTokens = maxTotalTokens
  }

  add(usage: Usage.Usage): void {
    this.spent = Usage.add(this.spent, usage)
  }

  /** Why no further request may begin. Undefined while requests may begin. */
  exhausted(): AgentError | undefined {
    const max = this.#maxTotalTokens
    return max !== undefined && Usage.total(this.#before) + Usage.total(this.spent) >= max
      ? budgetExceeded(`${max} tokens`)
      : undefined
  }
}
