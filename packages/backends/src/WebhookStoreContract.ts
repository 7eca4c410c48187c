/**
 * Every promise that a `WebhookStore` makes, as one suite of tests to run against any implementation.
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert, describe, it } from "@effect/vitest"
import { TaskId, UserId } from "@perennial/domain/Ids"
import { type Settings, topics, WebhookId, type WebhookKey } from "@perennial/domain/Webhook"
import { type NewDelivery, WebhookStore, type WebhookStoreError } from "@perennial/domain/WebhookStore"
import { Array, Duration, Effect, type Layer, Option } from "effect"

const alice = UserId.make("alice")
const bob = UserId.make("bob")

const settings: Settings = {
  url: "https://example.com/hook",
  topics,
  content: false,
  secrets: [{ value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
}

const hook = (id: string, userId: UserId | undefined = alice): WebhookKey => ({ id: WebhookId.make(id), userId })
const message = (id: string, to = "a"): NewDelivery => ({
  webhookId: WebhookId.make(to),
  id,
  body: `{"text":"\\u0000 é ${id}"}`
})

const hour = Duration.hours(1)
const always = { lease: hour, except: [] }
const idsOf = <A extends { readonly id: string }>(all: ReadonlyArray<A>) => all.map(({ id }) => id)

/** Claims until no message is due. */
const claimAll = Effect.fnUntraced(function*(store: WebhookStore["Service"]) {
  const claimed: Array<string> = []
  for (;;) {
    const one = yield* store.claim(always)
    if (Option.isNone(one)) return claimed.toSorted()
    claimed.push(one.value.id)
  }
})

/**
 * Defines the tests. The layer is built once for each test and gives an empty store every time.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<WebhookStore, E>): void => {
  const test = (title: string, body: (store: WebhookStore["Service"]) => Effect.Effect<void, WebhookStoreError>) =>
    it.effect(title, () => Effect.flatMap(WebhookStore, body).pipe(Effect.provide(layer)))

  describe(name, () => {
    test("a webhook of one task keeps what it is about", (store) =>
      Effect.gen(function*() {
        const push = { protocol: "a2a", taskId: TaskId.make("t"), configId: "c é", token: "x" } as const
        yield* store.put(hook("a"), { ...settings, push })
        yield* store.put(hook("b"), settings)
        const all = yield* store.list(alice)
        assert.deepStrictEqual(all.map(({ push }) => push), [push, undefined])
        yield* store.enqueue([message("m")])
        assert.deepStrictEqual(Option.getOrThrow(yield* store.claim(always)).webhook.push, push)
      }))

    test("P12: a webhook belongs to one user, and no other user sees, changes or removes it", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.put(hook("a", bob), { ...settings, url: "https://example.org" })
        yield* store.enqueue([message("m")])
        const [stored] = yield* store.list(alice)
        assert.deepInclude(stored, { ...hook("a"), ...settings, disabled: undefined })
        assert.deepStrictEqual(yield* store.list(bob), [])
        assert.deepStrictEqual(yield* store.list(undefined), [])
        assert.deepStrictEqual(yield* store.deliveries(hook("a", bob), 10), [])
        assert.isFalse(yield* store.remove(hook("a", bob)))
        assert.isTrue(yield* store.remove(hook("a")))
        assert.isFalse(yield* store.remove(hook("a")))
        assert.deepStrictEqual(yield* store.list(alice), [])
        assert.deepStrictEqual(yield* claimAll(store), [])
      }))

    test("a user is forgotten: the webhooks of the user, and what the server's own webhooks wait to be told about the user", (store) =>
      Effect.gen(function*() {
        const server = { id: WebhookId.make("all"), userId: undefined }
        yield* store.put(hook("a"), settings)
        yield* store.put(hook("a2"), settings)
        yield* store.put(hook("b", bob), settings)
        yield* store.put(server, settings)
        yield* store.enqueue([
          { ...message("m"), userId: alice },
          { ...message("n", "b"), userId: bob },
          { ...message("o", "all"), userId: alice },
          { ...message("p", "all"), userId: bob },
          message("q", "all")
        ])
        assert.deepStrictEqual(yield* store.forgetUser(alice), { webhooks: 2, deliveries: 2 })
        assert.deepStrictEqual(yield* store.list(alice), [])
        assert.deepStrictEqual(idsOf(yield* store.list(bob)), ["b"])
        assert.deepStrictEqual(idsOf(yield* store.deliveries(server, 10)).toSorted(), ["p", "q"])
        assert.deepStrictEqual(yield* claimAll(store), ["n", "p", "q"])
        assert.deepStrictEqual(yield* store.forgetUser(alice), { webhooks: 0, deliveries: 0 })
      }))

    test("`enabled` has the webhooks of the users and those of the server", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.put(hook("b", bob), settings)
        yield* store.put({ id: WebhookId.make("all"), userId: undefined }, settings)
        assert.deepStrictEqual(idsOf(yield* store.enabled([alice])).toSorted(), ["a", "all"])
        assert.deepStrictEqual(idsOf(yield* store.enabled([])), ["all"])
        assert.deepStrictEqual((yield* store.list(undefined))[0]?.userId, undefined)
      }))

    test("a changed webhook keeps the time of its creation", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        const [before] = yield* store.list(alice)
        yield* store.put(hook("a"), { ...settings, content: true, topics: ["task.error"] })
        const [after] = yield* store.list(alice)
        assert.deepInclude(after, { content: true, topics: ["task.error"] })
        assert.strictEqual(after?.createdAt, before?.createdAt)
      }))

    test("a message of an id that waits already changes nothing, and one for a webhook that is gone is not stored", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.enqueue([message("m"), message("m"), message("n", "gone")])
        yield* store.enqueue([message("m")])
        assert.deepStrictEqual(yield* claimAll(store), ["m"])
      }))

    test("the cursor moves once from each place, together with the messages, whoever else moves it", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        assert.strictEqual(yield* store.cursor, 0)
        const moved = yield* Effect.forEach(
          Array.range(1, 8),
          (n) => store.advance([message(`m${n}`)], { from: 0, to: n }),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(moved.filter((won) => won).length, 1)
        const cursor = yield* store.cursor
        assert.strictEqual(moved[cursor - 1], true)
        assert.deepStrictEqual(yield* claimAll(store), [`m${cursor}`])
        assert.isTrue(yield* store.advance([], { from: cursor, to: 9_007_199_254_740_991 }))
        assert.strictEqual(yield* store.cursor, 9_007_199_254_740_991)
      }))

    test("concurrent claims get different messages, each with its body and webhook", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        const ids = Array.range(10, 29).map(String)
        yield* store.enqueue(ids.map((id) => message(id)))
        const claims = yield* Effect.forEach(ids, () => store.claim(always), { concurrency: "unbounded" })
        // A claim may find that another process has the row at this moment, and returns none.
        const found = Array.getSomes(claims)
        const rest = yield* claimAll(store)
        assert.deepStrictEqual([...idsOf(found), ...rest].toSorted(), ids)
        for (const { attempt, body, id, webhook } of found) {
          assert.strictEqual(body, message(id).body)
          assert.strictEqual(attempt, 1)
          assert.deepInclude(webhook, { ...hook("a"), ...settings })
        }
      }))

    test("a message keeps its trace, in every attempt", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        yield* store.enqueue([{ ...message("m"), traceparent }])
        yield* store.advance([message("n")], { from: 0, to: 1 })
        const claims = [
          yield* store.claim({ lease: Duration.zero, except: [] }),
          yield* store.claim(always),
          yield* store.claim(always)
        ]
        const traces = Array.getSomes(claims).map((claim) => [claim.id, claim.traceparent] as const)
        assert.deepStrictEqual(new Map(traces), new Map([["m", traceparent], ["n", undefined]]))
        assert.strictEqual(traces.length, 3)
      }))

    test("webhooks of `except` get nothing, and do not stand before others", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.put(hook("b", bob), settings)
        yield* store.enqueue(Array.range(1, 150).map((n) => message(`m${n}`)))
        yield* store.enqueue([message("late", "b")])
        const claimed = yield* store.claim({ lease: hour, except: [WebhookId.make("a")] })
        assert.deepStrictEqual(Option.map(claimed, ({ id }) => id), Option.some("late"))
        assert.deepStrictEqual(
          yield* store.claim({ lease: hour, except: [WebhookId.make("a"), WebhookId.make("b")] }),
          Option.none()
        )
      }))

    test("a message whose lease has run out is claimed again, and the earlier claim settles nothing", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.enqueue([message("m")])
        const first = Option.getOrThrow(yield* store.claim({ lease: Duration.zero, except: [] }))
        const second = Option.getOrThrow(yield* store.claim(always))
        assert.deepStrictEqual([first.attempt, second.attempt], [1, 2])
        yield* store.settle(first, { type: "delivered" })
        assert.deepStrictEqual(idsOf(yield* store.deliveries(hook("a"), 10)), ["m"])
        yield* store.settle(second, { type: "delivered" })
        assert.deepStrictEqual(yield* store.deliveries(hook("a"), 10), [])
        // The id is free again.
        yield* store.enqueue([message("m")])
        assert.deepStrictEqual(yield* claimAll(store), ["m"])
      }))

    test("a failed message is due after its delay, and its attempts and last error can be read", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.enqueue([message("m")])
        const first = Option.getOrThrow(yield* store.claim(always))
        yield* store.settle(first, { type: "failed", error: "It \u0000 broke", retryAfter: Duration.zero })
        const second = Option.getOrThrow(yield* store.claim(always))
        assert.strictEqual(second.attempt, 2)
        yield* store.settle(second, { type: "failed", error: "It broke again", retryAfter: hour })
        assert.deepStrictEqual(yield* claimAll(store), [])
        const [waiting] = yield* store.deliveries(hook("a"), 10)
        assert.deepInclude(waiting, { id: "m", attempts: 2, lastError: "It broke again" })
        const { createdAt, nextAttemptAt } = waiting ?? {}
        const waits = Number(nextAttemptAt?.epochMilliseconds) - Number(createdAt?.epochMilliseconds)
        assert.isAtLeast(waits, Duration.toMillis(hour))
      }))

    test("a failure without a delay disables the webhook; its messages wait, and are due when it is enabled", (store) =>
      Effect.gen(function*() {
        yield* store.put(hook("a"), settings)
        yield* store.enqueue([message("m"), message("n")])
        const claim = Option.getOrThrow(yield* store.claim(always))
        yield* store.settle(claim, { type: "failed", error: "gone", retryAfter: undefined })
        const [disabled] = yield* store.list(alice)
        assert.strictEqual(disabled?.disabled?.reason, "gone")
        assert.deepStrictEqual(yield* store.enabled([alice]), [])
        yield* store.enqueue([message("o")])
        assert.deepStrictEqual(yield* claimAll(store), [])
        const waiting = yield* store.deliveries(hook("a"), 10)
        assert.deepStrictEqual(idsOf(waiting).toSorted(), ["m", "n"])
        for (const one of waiting) assert.notProperty(one, "nextAttemptAt")

        yield* store.put(hook("a"), settings)
        assert.strictEqual((yield* store.list(alice))[0]?.disabled, undefined)
        const again = Option.getOrThrow(yield* store.claim(always))
        assert.strictEqual(again.attempt, 1)
        yield* store.settle(again, { type: "delivered" })
        assert.strictEqual((yield* claimAll(store)).length, 1)
      }))
  })
}
