import { WarrenError } from "@warren/contracts";
import { type ProviderErrorOptions, ProviderRejectedError } from "@warren/resilience";

/** A message names a template or a version that this build does not have. Never retried: the answer would be the same. */
export class UnknownTemplateError extends WarrenError {
  constructor(template: string, version: number | undefined, known: readonly string[]) {
    const wanted = version === undefined ? template : `${template} version ${version}`;
    super("TEMPLATE_UNKNOWN", `There is no template ${wanted}; there is: ${known.join(", ")}.`, {
      details: { template, version },
    });
  }
}

/** The recipient's locale is not a language tag. A well-formed tag without texts is no error: it falls back to English. */
export class InvalidLocaleError extends WarrenError {
  constructor(locale: string, cause: unknown) {
    super("TEMPLATE_LOCALE_INVALID", `${JSON.stringify(locale)} is not a BCP 47 language tag.`, {
      details: { locale },
      cause,
    });
  }
}

/** The data does not fit the template version. `issues` name the fields, never their values. */
export class InvalidTemplateDataError extends WarrenError {
  constructor(template: string, version: number, issues: readonly string[], cause?: unknown) {
    super("TEMPLATE_DATA_INVALID", `The data does not fit ${template} version ${version}: ${issues.join("; ")}.`, {
      details: { template, version, issues },
      cause,
    });
  }
}

/** The provider refused this message for good. Its cause tells the breaker that the provider is well. */
export class DeliveryRejectedError extends WarrenError {
  constructor(response: string, facts: ProviderErrorOptions) {
    super("DELIVERY_REJECTED", `The mail was refused for good: ${response}`, {
      details: { response },
      cause: new ProviderRejectedError(response, facts),
    });
  }
}

/** An earlier attempt may have been delivered, and the channel's policy leaves the decision to a person. */
export class DeliveryHeldError extends WarrenError {
  constructor() {
    super("DELIVERY_HELD", "Nobody knows whether the mail was delivered; a person has to decide.");
  }
}

/** A newer attempt owns the delivery. */
export class DeliveryFencedError extends WarrenError {
  constructor(attempt: number) {
    super("DELIVERY_FENCED", `Attempt ${attempt} of this delivery was taken over by a newer one.`, {
      details: { attempt },
    });
  }
}

/** The server put this message off (4xx): this message, not the whole server. */
export class MailDeferredError extends WarrenError {
  constructor(response: string, facts: ProviderErrorOptions) {
    super("MAIL_DEFERRED", `The mail server put the message off: ${response}`, {
      retryable: true,
      details: { response },
      cause: new ProviderRejectedError(response, facts),
    });
  }
}
