/** A collector that accepts OTLP over HTTP as JSON, and keeps what it gets. */
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: string | number; readonly boolValue?: boolean }
}

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly links: ReadonlyArray<{ readonly spanId: string }>
  readonly status: { readonly code: number; readonly message?: string }
  /** The `service.instance.id` of the process that sent the span. */
  readonly process: string
}

export class Collector {
  readonly spans: Array<Span> = []
  /** Everything that was sent, as text. */
  readonly bodies: Array<string> = []
  readonly #waiting = new Set<() => void>()

  receive(body: string): void {
    this.bodies.push(body)
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans ?? []) {
      const process = resource.attributes.find(({ key }: Attribute) => key === "service.instance.id")?.value.stringValue
      for (const { spans } of scopeSpans) for (const span of spans) this.spans.push({ ...span, process })
    }
    for (const check of this.#waiting) check()
  }

  /** Waits for a span. */
  span(is: (span: Span) => boolean): Effect.Effect<Span> {
    return Effect.callback((resume) => {
      const check = () => {
        const found = this.spans.find(is)
        if (found === undefined) return
        this.#waiting.delete(check)
        resume(Effect.succeed(found))
      }
      this.#waiting.add(check)
      check()
      return Effect.sync(() => this.#waiting.delete(check))
    })
  }

  /** The spans of a trace as a tree, one line each. A span whose parent is missing is marked with `?`. */
  tree(traceId: string, processes: ReadonlyArray<string>): ReadonlyArray<string> {
    const spans = this.spans.filter((span) => span.traceId === traceId)
      .toSorted((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
    const ids = new Set(spans.map(({ spanId }) => spanId))
    const lines = (children: ReadonlyArray<Span>, indent: string): ReadonlyArray<string> =>
      children.flatMap((span) => {
        const lost = span.parentSpanId !== undefined && !ids.has(span.parentSpanId) && indent !== ""
        const process = String.fromCharCode(65 + processes.indexOf(span.process))
        const failed = span.status.code === 2 ? ` ${span.status.message}` : ""
        return [
          `${indent}${lost ? "? " : ""}${span.name} [${process}]${failed}`,
          ...lines(spans.filter(({ parentSpanId }) => parentSpanId === span.spanId), `${indent}  `)
        ]
      })
    return lines(spans.filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId)), "")
  }
}

/** Listens on a free port of this machine until the scope closes. */
export const listen = Effect.gen(function*() {
  const collector = new Collector()
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      collector.receive(Buffer.concat(chunks).toString())
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const { port } = server.address() as AddressInfo
  return { collector, url: `http://127.0.0.1:${port}` }
})
