/**
 * The statements on tasks and their logs that each dialect has in a form of its own.
 */
import type { ClaimId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import type { Task, TaskStatus } from "@perennial/domain/Task"
import type { Fence, NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { type Effect, Schema } from "effect"
import type { SqlError, Statement } from "effect/sql"
import type { EventRow } from "./eventRow.ts"
import { type ClaimRow, readRows, TaskRow } from "./sqlRows.ts"
import type { CodecError } from "./storeRetry.ts"

/** A head that was never claimed. */
export interface FirstClaim {
  readonly id: TaskId
  readonly runnerId: RunnerId
  readonly claimId: ClaimId
}

/** The end of a task. */
export interface Ending {
  readonly claim: Fence
  readonly rows: ReadonlyArray<EventRow>
  readonly first: number
  readonly last: number
  readonly status: TaskStatus
  readonly error: Task["error"]
}

export interface Finding {
  readonly id: TaskId
  readonly userId: UserId | undefined
}

export type Paging = Parameters<TaskBackend["Service"]["events"]>[1] & { readonly id: TaskId }

/** What an append requires of the row: the owner's token, and a log that ends right before the first event (P9). */
export interface Appending {
  readonly claim: Fence
  readonly rows: ReadonlyArray<EventRow>
  readonly first: number
  readonly last: number
  /** 1 when the events show progress. */
  readonly progress: number
  /** The new summary; empty when it stays as it is. */
  readonly summary: string
  /** 1 when the new summary has calls that wait for a person. */
  readonly waiting: number
}

const AppendedRow = Schema.Struct({
  id: TaskRow.fields.id,
  token: TaskRow.fields.token,
  intents: TaskRow.fields.intents
})
export type AppendedRow = typeof AppendedRow.Type

export const readCounted = readRows(Schema.Struct({ active: Schema.Int }))

export const readAppended = readRows(AppendedRow)

/** Finds the row that a claim wrote to. A batch may hold an owner and a claim that has lost the same task. */
export const byClaim = <Row extends Pick<TaskRow, "id" | "token">>(rows: ReadonlyArray<Row>) => {
  const byKey = new Map(rows.map((row) => [`${row.token}/${row.id}`, row]))
  return ({ taskId, token }: Fence): Row | undefined => byKey.get(`${token}/${taskId}`)
}

/** The rows of a statement, not decoded yet. */
type Rows = Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>

type Decoded<Row> = Effect.Effect<ReadonlyArray<Row>, SqlError.SqlError | CodecError>

export interface TaskStatements {
  /**
   * Accepts a task whose conversation has no active task. Returns no row when anything else needs to be looked at: the
   * general way decides then.
   */
  readonly acceptIdle: (task: NewTask, maxActive: number | undefined) => Decoded<TaskRow>
  /**
   * Counts the active tasks of a user, at most `most`. From the first count to the end of a transaction, no other transaction
   * counts the tasks of the user, or accepts a task with a limit.
   */
  readonly countActive: (userId: UserId, most: number) => Effect.Effect<number, SqlError.SqlError | CodecError>
  /** Claims a head that was never claimed. Returns no row when it did not: the general way decides then. */
  readonly claimFirst: (claim: FirstClaim) => Decoded<ClaimRow>
  /** Ends the newest task of a conversation, which has no task to promote. Returns false when it did not. */
  readonly finishNewest: (ending: Ending) => Effect.Effect<boolean, SqlError.SqlError>
  readonly find: (finding: Finding) => Decoded<TaskRow>
  /** The rows of a page, as `decodePageTasks` and `decodePageEvents` decode them. The task and its log are as they were at one moment. */
  readonly page: (paging: Paging) => Rows
  /** Appends to many logs in one commit, and returns the rows of the tasks that it appended to. */
  readonly append: (batch: ReadonlyArray<Appending>, now: Statement.Fragment) => Decoded<AppendedRow>
  /** Adds events whose place in the log the same transaction has secured. */
  readonly insertEvents: (rows: ReadonlyArray<EventRow>) => Effect.Effect<unknown, SqlError.SqlError>
}
