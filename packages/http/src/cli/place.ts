/**
 * Where the tasks are: at a server, or in a store that this process opens itself.
 */
import type { Agents as AgentsService } from "@perennial/domain/Agent"
import type { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationPlace, ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type ConversationId, UserId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { TaskRecords } from "@perennial/domain/TaskRecords"
import { type Receipt, UserData } from "@perennial/domain/UserData"
import type { ExportLine } from "@perennial/domain/UserExport"
import { Context, Effect, type FileSystem, Layer, Option, type Path, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Client from "../Client.ts"
import { makeRemote } from "../internal/remoteTaskManager.ts"
import { makeRemoteRecords } from "../internal/remoteTaskRecords.ts"
import * as Agents from "./agents.ts"
import { quote } from "./events.ts"
import { exitCodes, Failure, toFailure, usage, withFailure } from "./failure.ts"
import { load } from "./packages.ts"
import { checkServer, serverUrl, token } from "./server.ts"
import * as Settings from "./settings.ts"

/** The conversations of the user. */
export class Conversations extends Context.Service<Conversations, {
  /** The newest conversations. */
  readonly list: (limit: number) => Effect.Effect<ReadonlyArray<Conversation>, Failure>
  /** All messages of a conversation, oldest first. */
  readonly messages: (id: ConversationId) => Effect.Effect<ReadonlyArray<StoredMessage>, Failure>
}>()("@perennial/http/cli/place/Conversations") {}

/** Everything that is stored of the user. */
export class PersonalData extends Context.Service<PersonalData, {
  /** The user, for people. */
  readonly whose: string
  /** Ends with a line of the type `end`, or is not complete. */
  readonly export: Stream.Stream<ExportLine, Failure>
  /** Cancels the tasks of the user, and erases everything. */
  readonly erase: Effect.Effect<Receipt, Failure>
}>()("@perennial/http/cli/place/PersonalData") {}

/** The line that runs another command at the same place, for people to copy. */
export class CommandLine extends Context.Service<CommandLine, (...args: ReadonlyArray<string>) => string>()(
  "@perennial/http/cli/place/CommandLine"
) {}

const commandLine = (...flags: ReadonlyArray<string>) =>
  CommandLine.of((...args) => ["perennial", ...args, ...flags].map(quote).join(" "))

/** Reads pages until there are no more, or there are enough entries. */
const collect = Effect.fnUntraced(function*<A>(
  enough: number,
  page: (last: A | undefined, limit: number) => Effect.Effect<ReadonlyArray<A>, Failure>
) {
  const found: Array<A> = []
  while (found.length < enough) {
    const limit = Math.min(100, enough - found.length)
    const items = yield* page(found.at(-1), limit)
    found.push(...items)
    if (items.length === 0) break
  }
  return found
})

/** The place of a conversation in a list by the time of creation. */
const placeOf = ({ createdAt, id }: Conversation): ConversationPlace => ({ at: createdAt, id })

const remoteConversations = ({ conversations }: Client.PerennialClient["Service"]) =>
  Conversations.of({
    list: (limit) =>
      collect(limit, (last: Conversation | undefined, limit) =>
        conversations.list({ query: { limit, ...(last && { before: placeOf(last) }) } }).pipe(
          Effect.map(({ items }) =>
            items
          ),
          Effect.mapError(toFailure)
        )),
    messages: (id) =>
      collect(Infinity, (last: StoredMessage | undefined, limit) =>
        conversations.messages({ params: { id }, query: { limit, ...(last && { after: last.id }) } }).pipe(
          Effect.map(({ items }) =>
            items
          ),
          Effect.mapError(toFailure)
        ))
  })

const storedConversations = (store: ConversationStore["Service"], userId: UserId) =>
  Conversations.of({
    list: (limit) =>
      collect(limit, (last: Conversation | undefined, limit) =>
        Effect.mapError(store.list({ userId, limit, before: last && placeOf(last) }), toFailure)),
    messages: (id) =>
      collect(Infinity, (last: StoredMessage | undefined, limit) =>
        Effect.mapError(store.messages({ id, userId }, { limit, after: last?.id }), toFailure))
  })

/** The user of the token, or any user for an operator. */
const remoteData = ({ operator, users }: Client.PerennialClient["Service"], user: Option.Option<UserId>) => {
  const params = { userId: Option.getOrElse(user, () => UserId.make("local")) }
  const exported = Option.isNone(user) ? users.export() : operator.export({ params })
  const erased = Option.isNone(user) ? users.erase() : operator.erase({ params })
  return PersonalData.of({
    whose: Option.match(user, { onNone: () => "the user of this server", onSome: (id) => `user ${id}` }),
    export: Stream.mapError(Stream.unwrap(exported), toFailure),
    erase: Effect.mapError(erased, toFailure)
  })
}

const storedData = (userData: UserData["Service"], userId: UserId) =>
  PersonalData.of({
    whose: `user ${userId}`,
    export: Stream.mapError(userData.export(userId), toFailure),
    erase: Effect.mapError(userData.erase(userId), toFailure)
  })

const makeServer = Effect.gen(function*() {
  const url = yield* serverUrl
  const secret = yield* token
  const client = Context.get(
    yield* Layer.build(Client.layer({ baseUrl: url, token: Option.getOrUndefined(secret) })),
    Client.PerennialClient
  )
  yield* checkServer(url, client)
  const server = yield* Settings.Server
  const file = yield* Settings.TokenFile
  return Context.make(TaskManager, makeRemote(client)).pipe(
    Context.add(TaskRecords, makeRemoteRecords(client)),
    Context.add(Conversations, remoteConversations(client)),
    Context.add(PersonalData, remoteData(client, yield* Settings.User)),
    Context.add(
      CommandLine,
      commandLine(
        ...Option.match(server, { onNone: () => [], onSome: (url) => ["--server", url] }),
        ...Option.match(file, { onNone: () => [], onSome: (file) => ["--token-file", file] })
      )
    )
  )
})

/** The server, for the user of the token. */
const layerServer = Layer.effectContext(Effect.gen(function*() {
  if (Option.isNone(yield* Settings.User)) return yield* makeServer
  return yield* usage(
    "--user is for --store, records, export and delete-user: otherwise the token says who the user is."
  )
})).pipe(Layer.provide(FetchHttpClient.layer))

/** The server, also for another user than that of the token. */
const layerServerOfUser = Layer.effectContext(makeServer).pipe(Layer.provide(FetchHttpClient.layer))

/** Opens a store. With `agents`, tasks are executed in this process; without, this process only reads and steers them. */
const layerStore = (given: string, agents: Layer.Layer<AgentsService, Failure, FileSystem.FileSystem | Path.Path>) =>
  withFailure(Layer.unwrap(Effect.gen(function*() {
    if (Option.isSome(yield* Settings.Server) || Option.isSome(yield* Settings.TokenFile)) {
      return yield* usage("--store is instead of a server: leave --server and --token-file out.")
    }
    const StoreSetting = yield* load("@perennial/backends", () => import("@perennial/backends/StoreSetting"))
    const TaskRuntime = yield* load("@perennial/runtime", () => import("@perennial/runtime/TaskRuntime"))
    const setting = StoreSetting.parse(given)
    if (Option.isNone(setting)) {
      return yield* usage(
        `--store ${StoreSetting.withoutPassword(given)} is not valid. Accepted: ${StoreSetting.accepted}.`
      )
    }
    const name = StoreSetting.format(setting.value)
    const unusable = (error: unknown) =>
      error instanceof Failure ? error : new Failure({
        code: exitCodes.unreachable,
        line: `The store ${name} cannot be used: ${StoreSetting.reasonOf(error).replace(/\.$/, "")}.`
      })
    const user = yield* Settings.User
    const userId = Option.getOrElse(user, () => UserId.make("local"))
    const flags = ["--store", name, ...Option.match(user, { onNone: () => [], onSome: (id) => ["--user", id] })]
    return Layer.mergeAll(
      Layer.effect(PersonalData, Effect.map(UserData, (userData) => storedData(userData, userId))).pipe(
        Layer.provide(UserData.layer)
      ),
      Layer.effect(Conversations, Effect.map(ConversationStore, (store) => storedConversations(store, userId))),
      Layer.succeed(CommandLine, commandLine(...flags)),
      Layer.succeed(CurrentUser, userId)
    ).pipe(
      Layer.provideMerge(TaskRuntime.layer.pipe(Layer.provide(agents))),
      Layer.provide(StoreSetting.layer(setting.value, { applicationName: "perennial command line" })),
      (layer) => withFailure(layer, unusable)
    )
  })))

/** The place that the flags name. `agents` execute tasks if the place is a store. */
const layerWith = (
  agents: Layer.Layer<AgentsService, Failure, FileSystem.FileSystem | Path.Path>,
  server = layerServer
) =>
  Layer.unwrap(Effect.map(
    Settings.Store,
    (store): Layer.Layer<
      Layer.Success<typeof layerServer>,
      Failure,
      Layer.Services<typeof layerServer> | Layer.Services<ReturnType<typeof layerStore>>
    > => Option.isNone(store) ? server : layerStore(store.value, agents)
  ))

/** For commands that read and steer tasks. */
export const layer = layerWith(Agents.layerNone)

/** For commands that an operator may use for any user. */
export const layerOfUser = layerWith(Agents.layerNone, layerServerOfUser)

/** For commands that follow a task: if the place is a store, this process executes the tasks of the agents. */
export const layerExecuting = (module: Option.Option<string>) =>
  Layer.unwrap(Effect.gen(function*() {
    if (Option.isSome(module) && Option.isNone(yield* Settings.Store)) {
      return yield* usage("--agents is for --store: a server has agents of its own.")
    }
    return layerWith(Agents.layer(module))
  }))
