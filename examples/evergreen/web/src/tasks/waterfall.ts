/** What a task did when: the steps of a log, in the order they began. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"

export interface Step {
  readonly key: string
  readonly kind: "queue" | "model" | "tool" | "person" | "retry" | "gap"
  readonly label: string
  /** Milliseconds since 1970. */
  readonly from: number
  /** Undefined while the step goes on. */
  to: number | undefined
  /** When the first text of a model request came. */
  first?: number
  detail: string
}

const kept = new Set(["completed", "error", "interrupted"])

/** Folds the log, oldest event first. */
class Fold {
  readonly steps: Array<Step> = []
  private readonly open = new Map<string, Step>()
  private requests = 0
  private before = 0

  private begin(name: string, step: Omit<Step, "key" | "to">): Step {
    const begun: Step = { ...step, key: `${name}.${this.steps.length}`, to: undefined }
    this.steps.push(begun)
    this.open.set(name, begun)
    return begun
  }

  private end(name: string, at: number, detail?: string): void {
    const step = this.open.get(name)
    if (step === undefined) return
    step.to = at
    if (detail !== undefined) step.detail = detail
    this.open.delete(name)
  }

  private endAll(at: number, detail: string): void {
    for (const name of this.open.keys()) this.end(name, at, detail)
  }

  /** The model is asked when nothing else is open. Its request is seen by its first event. */
  private model(at: number): Step {
    const open = this.open.get("model")
    if (open !== undefined) return open
    return this.begin("model", { kind: "model", label: `model request ${++this.requests}`, from: at, detail: "" })
  }

  private token(at: number): void {
    const step = this.model(this.before)
    step.first ??= at
  }

  apply({ at, event }: StoredEvent): void {
    switch (event.type) {
      case "ack":
        this.begin("queue", { kind: "queue", label: "queue", from: at, detail: "" })
        break
      case "started":
        this.end("queue", at)
        this.model(at)
        break
      case "text":
      case "reasoning":
        this.token(at)
        break
      case "message": {
        const { inputTokens, outputTokens } = event.usage
        this.model(this.before)
        this.end("model", at, inputTokens + outputTokens === 0 ? "" : `${inputTokens} in, ${outputTokens} out`)
        break
      }
      case "tool_approval":
        if (event.decision === undefined) {
          const label = `${event.tool} waits for a person`
          this.begin(`person ${event.toolCallId}`, { kind: "person", label, from: at, detail: "" })
        } else this.end(`person ${event.toolCallId}`, at, event.decision.approved ? "allowed" : "denied")
        break
      case "tool_call":
        this.begin(`tool ${event.toolCallId}`, { kind: "tool", label: event.tool, from: at, detail: "" })
        break
      case "tool_result":
        this.end(`person ${event.toolCallId}`, at)
        this.end(`tool ${event.toolCallId}`, at, kept.has(event.status) ? event.status : "")
        // The model goes on when the last result is there.
        if (this.open.size === 0) this.model(at)
        break
      case "retry":
        this.end("model", at, event.reason)
        this.steps.push({
          key: `retry.${this.steps.length}`,
          kind: "retry",
          label: `try ${event.tryNumber} waits`,
          from: at,
          to: at + event.delayMillis,
          detail: event.reason
        })
        this.model(at + event.delayMillis)
        break
      case "resumed":
        this.endAll(this.before, "cut off")
        this.steps.push({
          key: `gap.${this.steps.length}`,
          kind: "gap",
          label: `resumed, attempt ${event.attempt}`,
          from: this.before,
          to: at,
          detail: "another process went on"
        })
        this.model(at)
        break
      case "done":
        this.endAll(at, "")
        break
      case "error":
        this.endAll(at, event.detail)
        break
      case "cancelled":
        this.endAll(at, "cancelled")
        break
      default:
    }
    this.before = at
  }
}

export const stepsOf = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<Step> => {
  const fold = new Fold()
  for (const event of events) fold.apply(event)
  // A model request that the fold began after the last tool, and that the task did not need.
  return fold.steps.filter((step) =>
    step.kind !== "model" || step.to === undefined || step.to > step.from || step.first
  )
}
