/**
 * The endpoints of webhooks. A server that sends no webhooks answers them with 404.
 *
 * @since 0.1.0
 */
import { Delivery, Settings, Topic, WebhookId } from "@perennial/domain/Webhook"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import { describeLimit, limit, longest } from "./internal/apiParts.ts"
import { documented } from "./internal/openApi.ts"
import * as Problems from "./Problems.ts"

const wanted = {
  topics: Schema.optionalKey(Schema.NonEmptyArray(Topic)),
  /** Whether messages have the task and the event, not only ids. */
  content: Schema.optionalKey(Schema.Boolean)
}

/**
 * A webhook that is to be added: all topics and no contents by default.
 *
 * @since 0.1.0
 * @category models
 */
export const NewWebhook = Schema.Struct({ url: Settings.fields.url, ...wanted }).annotate({ identifier: "NewWebhook" })

/**
 * What of a webhook is to be changed.
 *
 * @since 0.1.0
 * @category models
 */
export const WebhookChange = Schema.Struct({ url: Schema.optionalKey(Settings.fields.url), ...wanted }).annotate({
  identifier: "WebhookChange"
})

const fields = {
  id: WebhookId,
  url: Schema.String,
  topics: Schema.Array(Topic),
  content: Schema.Boolean,
  createdAt: Schema.DateTimeUtcFromString,
  /** Why nothing is sent; absent while the webhook is enabled. */
  disabledReason: Schema.optionalKey(Schema.String)
}

/**
 * A webhook of the user, without its secrets.
 *
 * @since 0.1.0
 * @category models
 */
export const Webhook = Schema.Struct(fields).annotate({ identifier: "Webhook" })

/**
 * @since 0.1.0
 * @category models
 */
export type Webhook = typeof Webhook.Type

/**
 * A webhook with its newest secret, which is shown once.
 *
 * @since 0.1.0
 * @category models
 */
export const WebhookWithSecret = Schema.Struct({ ...fields, secret: Schema.String }).annotate({
  identifier: "WebhookWithSecret"
})

const params = { id: WebhookId }
const describeId = { description: "The id of the webhook." }
const none = [Problems.RouteNotFound, Problems.Unavailable] as const
const missing = [Problems.WebhookNotFound, ...none] as const

/**
 * Add, change and remove webhooks of the user.
 *
 * @since 0.1.0
 * @category groups
 */
export class WebhooksApi extends HttpApiGroup.make("webhooks")
  .add(
    HttpApiEndpoint.get("list", "/webhooks", {
      success: Schema.Struct({ items: Schema.Array(Webhook) }),
      error: none
    }).annotateMerge(documented({
      summary: "List the webhooks, oldest first",
      responses: { 200: "The webhooks of the user" }
    })),
    HttpApiEndpoint.post("add", "/webhooks", {
      payload: NewWebhook,
      success: WebhookWithSecret.pipe(HttpApiSchema.status("Created")),
      error: [Problems.TooManyWebhooks, Problems.InvalidRequest, ...none]
    }).annotateMerge(documented({
      summary: "Add a webhook",
      description: "It is told about what happens from now on. The secret of the answer signs its messages.",
      example: { url: "https://example.com/hook", topics: ["task.completed"] },
      responses: { 201: "The webhook is stored" }
    })),
    HttpApiEndpoint.get("get", "/webhooks/:id", { params, success: Webhook, error: missing })
      .annotateMerge(documented({
        summary: "Read a webhook",
        parameters: { id: describeId },
        responses: { 200: "The webhook" }
      })),
    HttpApiEndpoint.patch("change", "/webhooks/:id", {
      params,
      payload: WebhookChange,
      success: Webhook,
      error: [Problems.InvalidRequest, ...missing]
    }).annotateMerge(documented({
      summary: "Change a webhook",
      description: "Enables a webhook that was disabled: the messages that wait are sent at once.",
      parameters: { id: describeId },
      example: { content: true },
      responses: { 200: "The webhook as it is now" }
    })),
    HttpApiEndpoint.post("rotateSecret", "/webhooks/:id/secret", {
      params,
      success: WebhookWithSecret,
      error: missing
    }).annotateMerge(documented({
      summary: "Replace the secret of a webhook",
      description: "The secret before it signs, too, for 24 hours.",
      parameters: { id: describeId },
      responses: { 200: "The webhook with its new secret" }
    })),
    HttpApiEndpoint.get("deliveries", "/webhooks/:id/deliveries", {
      params,
      query: { limit: limit(longest.deliveries) },
      success: Schema.Struct({ items: Schema.Array(Delivery) }),
      error: missing
    }).annotateMerge(documented({
      summary: "List the messages that have not arrived, oldest first",
      description: "With the number of attempts and the last error of each.",
      parameters: { id: describeId, limit: describeLimit("deliveries", 100) },
      responses: { 200: "The messages" }
    })),
    HttpApiEndpoint.delete("remove", "/webhooks/:id", {
      params,
      success: HttpApiSchema.NoContent,
      error: missing
    }).annotateMerge(documented({
      summary: "Remove a webhook",
      description: "With the messages that have not arrived.",
      parameters: { id: describeId },
      responses: { 204: "The webhook is removed" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Webhooks" }))
{}
