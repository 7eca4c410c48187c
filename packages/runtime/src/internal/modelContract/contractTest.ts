/** What the tests of the contract have in common. */
import { Effect, type Layer, type Scope, Stream } from "effect"
import { LanguageModel, type Prompt, type Response } from "effect/ai"
import type { FakeApi } from "../../FakeReply.ts"

export interface UnderTest {
  readonly api: Pick<FakeApi, "push" | "otherwise" | "requests" | "nextRequest">
  readonly model: Layer.Layer<LanguageModel.LanguageModel>
}

type Body<E> = (underTest: UnderTest) => Effect.Effect<void, E, LanguageModel.LanguageModel | Scope.Scope>

export interface ContractTest {
  readonly name: string
  /** The test is left out for a provider without this. */
  readonly needs?: "reasoning" | "keep-alives" | "search"
  readonly clock?: "test"
  readonly body: Body<never>
}

/** A failure of the body fails the test. */
export const contractTest = <E>(
  test: Omit<ContractTest, "body"> & { readonly body: Body<E> }
): ContractTest => ({ ...test, body: (underTest) => Effect.orDie(test.body(underTest)) })

export const ask = (prompt: Prompt.RawInput = "hi") =>
  Stream.unwrap(Effect.map(LanguageModel.LanguageModel, (model) => model.streamText({ prompt })))

/** The text of an answer. */
export const textOf = (parts: ReadonlyArray<Response.StreamPart<{}>>): string =>
  parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")

export const finishOf = (parts: ReadonlyArray<Response.StreamPart<{}>>): Response.FinishPart | undefined =>
  parts.find((part) => part.type === "finish")
