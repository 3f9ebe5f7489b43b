export const session = await import("@warren/amqp");
