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
import * as examples from "./internal/examples.ts"
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
      summary: "List the webhooks",
      description: "All webhooks of the user. The oldest is the first.",
      responses: { 200: { description: "The webhooks of the user", example: { items: [examples.webhook] } } }
    })),
    HttpApiEndpoint.post("add", "/webhooks", {
      payload: NewWebhook,
      success: WebhookWithSecret.pipe(HttpApiSchema.status("Created")),
      error: [Problems.TooManyWebhooks, Problems.InvalidRequest, ...none]
    }).annotateMerge(documented({
      summary: "Add a webhook",
      description:
        "The webhook gets messages about later events. The secret in the answer signs the messages. No other " +
        "answer has this secret.",
      example: { url: "https://example.com/hook", topics: ["task.completed"] },
      responses: { 201: { description: "The webhook is stored", example: examples.webhookWithSecret } }
    })),
    HttpApiEndpoint.get("get", "/webhooks/:id", { params, success: Webhook, error: missing })
      .annotateMerge(documented({
        summary: "Read a webhook",
        description: "The webhook without its secret.",
        parameters: { id: describeId },
        responses: { 200: { description: "The webhook", example: examples.webhook } }
      })),
    HttpApiEndpoint.patch("change", "/webhooks/:id", {
      params,
      payload: WebhookChange,
      success: Webhook,
      error: [Problems.InvalidRequest, ...missing]
    }).annotateMerge(documented({
      summary: "Change a webhook",
      description:
        "Changes the fields of the body. Enables a webhook that was disabled: the server sends its waiting " +
        "messages at once.",
      parameters: { id: describeId },
      example: { content: true },
      responses: { 200: { description: "The changed webhook", example: { ...examples.webhook, content: true } } }
    })),
    HttpApiEndpoint.post("rotateSecret", "/webhooks/:id/secret", {
      params,
      success: WebhookWithSecret,
      error: missing
    }).annotateMerge(documented({
      summary: "Replace the secret of a webhook",
      description: "For 24 hours the server signs messages with the old secret, too.",
      parameters: { id: describeId },
      responses: { 200: { description: "The webhook with its new secret", example: examples.webhookWithSecret } }
    })),
    HttpApiEndpoint.get("deliveries", "/webhooks/:id/deliveries", {
      params,
      query: { limit: limit(longest.deliveries) },
      success: Schema.Struct({ items: Schema.Array(Delivery) }),
      error: missing
    }).annotateMerge(documented({
      summary: "List the messages that have not arrived",
      description: "The oldest message is the first. Each has the number of its attempts and its last error.",
      parameters: { id: describeId, limit: describeLimit("deliveries", 100) },
      responses: { 200: { description: "The messages", example: { items: [examples.delivery] } } }
    })),
    HttpApiEndpoint.delete("remove", "/webhooks/:id", {
      params,
      success: HttpApiSchema.NoContent,
      error: missing
    }).annotateMerge(documented({
      summary: "Remove a webhook",
      description: "Removes the webhook, and its messages that have not arrived.",
      parameters: { id: describeId },
      responses: { 204: "The webhook is removed" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Webhooks", description: "Signed requests to an address of the user." }))
{}
