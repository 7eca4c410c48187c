/**
 * The events of a streamed response. It is read liberally, because servers that speak this API are not all Anthropic's: the
 * type of an event is in its data, the line `event:` may be missing, and a response may come in one piece.
 */
// @effect-diagnostics asyncFunction:off
import type Anthropic from "@anthropic-ai/sdk"
import { APIError } from "@anthropic-ai/sdk"
import * as Sse from "@anthropic-ai/sdk/core/streaming"

type HttpResponse = Parameters<typeof Sse.Stream.rawEvents>[0]

type Event = Anthropic.RawMessageStreamEvent

/** What a server has sent: nothing of it is checked. */
interface Unchecked {
  readonly type?: string
  readonly error?: { readonly type?: ConstructorParameters<typeof APIError>[4] }
}

const errorOf = (body: Unchecked, { headers }: HttpResponse): APIError =>
  new APIError(undefined, body, undefined, headers, body.error?.type)

/** A whole message as the events of a stream. */
const eventsOfMessage = function*(message: Anthropic.Message): Generator<Event> {
  yield { type: "message_start", message }
  for (const [index, content_block] of message.content.entries()) {
    yield { type: "content_block_start", index, content_block }
    yield { type: "content_block_stop", index }
  }
  const { container, stop_details, stop_reason, stop_sequence, usage } = message
  yield { type: "message_delta", delta: { container, stop_details, stop_reason, stop_sequence }, usage }
  yield { type: "message_stop" }
}

/** `onChunk` is called for each piece of the body, because pings are signs of life and have no event. */
export const eventsOf = async function*(response: HttpResponse, onChunk: () => void): AsyncGenerator<Event> {
  const { body, headers } = response
  if (headers.get("content-type")?.startsWith("application/json") === true) {
    const whole: Anthropic.Message & Unchecked = JSON.parse(await response.text())
    if (whole.error !== undefined) throw errorOf(whole, response)
    yield* eventsOfMessage(whole)
    return
  }
  const chunks = async function*() {
    for await (const chunk of body ?? []) {
      onChunk()
      yield chunk
    }
  }
  // The SDK reads headers and body only, and any body that can be iterated: not every `fetch` has web streams.
  const observed = { headers, body: { [Symbol.asyncIterator]: chunks } } as unknown as HttpResponse
  for await (const { data, event } of Sse.Stream.rawEvents(observed)) {
    if (event === "ping" || data === "" || data === "[DONE]") continue
    if (event === "error" && !data.startsWith("{")) throw errorOf({}, response)
    const parsed: Event & Unchecked = JSON.parse(data)
    if (event === "error" || parsed.error !== undefined) throw errorOf(parsed, response)
    yield parsed
  }
}
