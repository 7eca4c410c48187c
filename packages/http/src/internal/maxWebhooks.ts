/** How many webhooks a user may have, those that faces add for tasks included. */
export const maxWebhooks = 20
