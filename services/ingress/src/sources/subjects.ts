import { describingHeader } from "../verify/header.ts";
import { parsePointer, textAt } from "../verify/json.ts";
import type { WebhookRequest } from "../verify/verdict.ts";
import type { ProviderName } from "./providers.ts";

/** What an authentic request says its event is about; `undefined`: it does not say. `parsed` as in the verdict. */
type SubjectOf = (request: WebhookRequest, parsed: unknown) => string | undefined;

/** JSON Pointers, the first that leads to a text or a number counts. Read only where the verifier parsed the body anyway. */
function at(...pointers: readonly string[]): SubjectOf {
  const paths = pointers.map(parsePointer);
  return (_request, parsed) => {
    if (parsed === undefined) return undefined;
    for (const path of paths) {
      const found = textAt(parsed, path);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** GitHub says in headers what the hook hangs on, such as `repository/79929171`: the body need not be parsed for it. */
const github: SubjectOf = ({ rawHeaders }) => {
  const type = describingHeader(rawHeaders, "x-github-hook-installation-target-type");
  const id = describingHeader(rawHeaders, "x-github-hook-installation-target-id");
  return type === undefined || id === undefined ? undefined : `${type}/${id}`;
};

/** Where providers write which object an event is about. A provider without an entry names none, or sends several events at once. */
const subjects: Partial<Record<ProviderName, SubjectOf>> = {
  "adyen-platform": at("/data/id"),
  "aws-sns": at("/TopicArn"),
  bitbucket: at("/repository/full_name"),
  calendly: at("/payload/uri"),
  clerk: at("/data/id"),
  github,
  gitlab: at("/project/path_with_namespace", "/project_id"),
  intercom: at("/data/item/id"),
  jira: at("/issue/key"),
  linear: at("/data/id"),
  mailgun: at("/event-data/message/headers/message-id"),
  paddle: at("/data/id"),
  pagerduty: at("/event/data/id"),
  paypal: at("/resource/id"),
  postmark: at("/MessageID"),
  resend: at("/data/email_id"),
  square: at("/data/id"),
  "standard-webhooks": at("/data/id"),
  stripe: at("/data/object/id"),
  svix: at("/data/id"),
  trello: at("/model/id"),
  typeform: at("/form_response/form_id"),
  yookassa: at("/object/id"),
  zendesk: at("/subject"),
  zoom: at("/payload/object/id"),
};

export function subjectOf(provider: ProviderName, request: WebhookRequest, parsed: unknown): string | undefined {
  return subjects[provider]?.(request, parsed);
}
