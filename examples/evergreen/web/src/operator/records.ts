/** What operators read: the records of all users' tasks, and the processes that execute them. And the throughput, which all read. */
import type { Runner as DomainRunner } from "@perennial/domain/Runner"
import type { TaskRecord } from "@perennial/domain/TaskRecords"
import type { Throughput as DomainThroughput } from "@perennial/domain/Throughput"
import { at, type Counts, get, type Page, type Query, query, send } from "../api.ts"

export type Record = typeof TaskRecord.Encoded
export type Runner = typeof DomainRunner.Encoded
export type Throughput = typeof DomainThroughput.Encoded
export type Minute = Throughput["minutes"][number]

export const records = (filter: Query): Promise<Page<Record>> => get(`/operator/tasks?${query(filter)}`)

export const recordCounts = (filter: Query): Promise<Counts> => get(`/operator/tasks/counts?${query(filter)}`)

export const throughput = (of: "mine" | "everybody"): Promise<Throughput> =>
  get(of === "mine" ? "/tasks/throughput" : "/operator/throughput")

export const runners = (): Promise<Page<Runner>> => get("/operator/runners")

export const cancel = ({ id, userId }: Record): Promise<Response> =>
  send("POST", `/operator/users/${at(userId)}/tasks/${at(id)}/cancel`, {})
