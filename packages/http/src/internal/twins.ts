/** The errors of the domain that clients see as problems of the same name. */
import * as Problems from "../Problems.ts"

/** Errors whose problem has the same tag and the same fields, and the error's message as its `detail`. */
export const twins = {
  TaskNotFound: Problems.TaskNotFound,
  ConversationNotFound: Problems.ConversationNotFound,
  MessageNotFound: Problems.MessageNotFound,
  ToolCallNotFound: Problems.ToolCallNotFound,
  ConversationBusy: Problems.ConversationBusy,
  QueueFull: Problems.QueueFull,
  TooManyActiveTasks: Problems.TooManyActiveTasks,
  CapacityExceeded: Problems.CapacityExceeded,
  AlreadyDecided: Problems.AlreadyDecided,
  IdempotencyConflict: Problems.IdempotencyConflict,
  AgentNotFound: Problems.AgentNotFound,
  EventsExpired: Problems.EventsExpired,
  CursorAhead: Problems.CursorAhead,
  UserStillActive: Problems.UserStillActive
}

export type Twins = typeof twins
