/**
 * What every provider owes the agent, as one suite of tests to run against any implementation. The model is asked over the
 * wire: `FakeOpenAi` and `FakeGemini` are APIs for it, and any other fake that implements `FakeReply.FakeApi`.
 *
 * **Example** (a provider of your own for a server of chat completions)
 *
 * ```ts
 * import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
 * import * as ModelContract from "@perennial/runtime/ModelContract"
 * import { Effect, Layer } from "effect"
 * import type { LanguageModel } from "effect/ai"
 *
 * declare const myModel: (url: string) => Layer.Layer<LanguageModel.LanguageModel>
 *
 * const underTest = Layer.effect(
 *   ModelContract.ModelUnderTest,
 *   Effect.map(FakeOpenAi, (api) => ({ api, model: myModel(`${api.url}/v1`) }))
 * )
 * ModelContract.suite("myModel", underTest.pipe(Layer.provide(FakeOpenAi.layer)), { without: ["reasoning", "search"] })
 * ```
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, type Scope } from "effect"
import type { LanguageModel } from "effect/ai"
import type { FakeApi } from "./FakeReply.ts"
import { agentTests } from "./internal/modelContract/agentTests.ts"
import { answerTests } from "./internal/modelContract/answerTests.ts"
import { failureTests } from "./internal/modelContract/failureTests.ts"
import { outputTests } from "./internal/modelContract/outputTests.ts"
import { wireTests } from "./internal/modelContract/wireTests.ts"

/**
 * A model, and the API that answers it.
 *
 * @since 0.1.0
 * @category services
 */
export class ModelUnderTest extends Context.Service<ModelUnderTest, {
  readonly api: Pick<FakeApi, "push" | "otherwise" | "requests" | "nextRequest">
  readonly model: Layer.Layer<LanguageModel.LanguageModel>
}>()("@perennial/runtime/ModelContract/ModelUnderTest") {}

/**
 * What a provider need not have: reasoning that comes back, keep-alives of the server as activity of the model, and tools that
 * the provider executes itself, such as a search.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly without?: ReadonlyArray<"reasoning" | "keep-alives" | "search">
}

/**
 * Defines the tests of the contract for one model. The layer is built anew for each test.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E = never>(
  name: string,
  layer: Layer.Layer<ModelUnderTest, E>,
  { without = [] }: Options = {}
): void => {
  const env = Layer.unwrap(Effect.map(ModelUnderTest, ({ model }) => model)).pipe(
    Layer.provideMerge(layer),
    Layer.provideMerge(Logger.layer([]))
  )
  type Env = ModelUnderTest | LanguageModel.LanguageModel | Scope.Scope
  const apiOf = <A, E2>(body: (api: ModelUnderTest["Service"]) => Effect.Effect<A, E2, Env>) =>
    Effect.provide(Effect.scoped(Effect.flatMap(ModelUnderTest, body)), env)

  describe(name, () => {
    for (const tests of [answerTests, failureTests, wireTests, agentTests, outputTests]) {
      for (const test of tests) {
        if (test.needs !== undefined && without.includes(test.needs)) continue
        if (test.clock === "test") it.effect(test.name, () => apiOf(test.body))
        else it.live(test.name, () => apiOf(test.body))
      }
    }
  })
}
