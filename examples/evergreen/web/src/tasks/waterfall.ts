/** What a task did when: the steps of a log, in the order they began. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { usageText } from "./numbers.ts"

export interface Step {
  readonly key: string
  readonly kind: "queue" | "model" | "tool" | "person" | "retry" | "gap"
  readonly label: string
  /** Milliseconds since 1970. */
  readonly from: number
  /** Undefined while the step goes on. */
  to: number | undefined
  /** When the first text or thinking of a model request came. */
  first?: number
  detail: string
}

type Event<Type extends string> = Extract<StoredEvent["event"], { readonly type: Type }>

const losses: Readonly<Record<string, string>> = {
  crash: "crash",
  handover: "hand-over",
  storeFailure: "store failed"
}

const requestDetail = ({ step, tryNumber }: Event<"model_request">): string =>
  tryNumber > 1 ? `step ${step}, try ${tryNumber}` : `step ${step}`

/** Folds the log, oldest event first. */
class Fold {
  readonly steps: Array<Step> = []
  private readonly open = new Map<string, Step>()
  private requests = 0
  private before = 0
  /** Logs of earlier versions do not say when a model was asked: it was when nothing else was going on. */
  private readonly guesses: boolean

  constructor(guesses: boolean) {
    this.guesses = guesses
  }

  private begin(name: string, step: Omit<Step, "key" | "to">): Step {
    const begun: Step = { ...step, key: `${name}.${this.steps.length}`, to: undefined }
    this.steps.push(begun)
    this.open.set(name, begun)
    return begun
  }

  private end(name: string, at: number, ...details: ReadonlyArray<string>): void {
    const step = this.open.get(name)
    if (step === undefined) return
    step.to = Math.max(step.from, at)
    step.detail = [step.detail, ...details].filter((detail) => detail !== "").join(" · ")
    this.open.delete(name)
  }

  private endAll(at: number, detail: string, keeps: (step: Step) => boolean = () => false): void {
    for (const [name, step] of this.open) if (!keeps(step)) this.end(name, at, detail)
  }

  private guess(at: number): void {
    if (!this.guesses || this.open.has("model")) return
    this.begin("model", { kind: "model", label: `model request ${++this.requests}`, from: at, detail: "" })
  }

  private token(at: number): void {
    this.guess(this.before)
    const step = this.open.get("model")
    if (step !== undefined) step.first ??= at
  }

  private resumed(at: number, { attempt, gapMillis, reason = "" }: Event<"resumed">): void {
    // The gap is by the clock of the store, and the events before may be newer than the last sign of life.
    const from = gapMillis === undefined ? this.before : Math.max(this.before, at - gapMillis)
    this.endAll(from, "cut off", ({ kind }) => kind === "person")
    const label = losses[reason] ?? "resumed"
    const key = `gap.${this.steps.length}`
    this.steps.push({ key, kind: "gap", label, from, to: at, detail: `attempt ${attempt} goes on` })
  }

  apply({ at, event }: StoredEvent): void {
    switch (event.type) {
      case "ack":
        this.begin("queue", { kind: "queue", label: "queue", from: at, detail: "" })
        break
      case "started":
        this.end("queue", at)
        this.guess(at)
        break
      case "model_request": {
        this.end("retry", at)
        this.end("model", at)
        const label = event.model ?? "model request"
        this.begin("model", { kind: "model", label, from: at, detail: requestDetail(event) })
        break
      }
      case "text":
      case "reasoning":
        this.token(at)
        break
      case "message": {
        const { inputTokens, outputTokens } = event.usage
        this.guess(this.before)
        this.end("model", at, inputTokens + outputTokens === 0 ? "" : usageText({ inputTokens, outputTokens }))
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
        this.end(`tool ${event.toolCallId}`, at, event.status)
        // The model goes on when the last result is there.
        if (this.open.size === 0) this.guess(at)
        break
      case "retry":
        this.end("model", at, event.reason)
        this.begin("retry", { kind: "retry", label: `wait before try ${event.tryNumber}`, from: at, detail: "" })
        break
      case "resumed":
        this.resumed(at, event)
        this.guess(at)
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
  const fold = new Fold(!events.some(({ event }) => event.type === "model_request"))
  for (const event of events) fold.apply(event)
  // A guessed request after the last tool, which the task did not need.
  return fold.steps.filter((step) =>
    step.kind !== "model" || step.to === undefined || step.to > step.from || step.first !== undefined
  )
}
