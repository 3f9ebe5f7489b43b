import type { Email } from "postal-mime";
import { type Html, html } from "./html.ts";
import type { MailSummary } from "./mail-log.ts";

/** Nothing from elsewhere, no script but our own, and the page cannot be framed. */
export const pagePolicy =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** A mail's own HTML: inline styles and pictures inside the mail, nothing else; no script, no forms, no way to reach this site. */
export const mailPolicy =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

export interface ListPage {
  readonly mails: readonly MailSummary[];
  readonly total: number;
  readonly search: string;
  readonly newestId: number;
  /** Link to older mails, when there are some. */
  readonly older?: string;
}

export function listPage({ mails, total, search, newestId, older }: ListPage): Html {
  const rows = mails.map(
    (mail) => html`<tr>
        <td><a href="/messages/${mail.id}">${mail.subject === "" ? "(no subject)" : mail.subject}</a></td>
        <td>${mail.to.join(", ")}</td>
        <td>${mail.from}</td>
        <td><time datetime="${mail.receivedAt}">${shortTime(mail.receivedAt)}</time></td>
      </tr>`,
  );
  const empty =
    search === ""
      ? html`<p class="empty">No mail yet. What the services send appears here; try <code>npm run demo</code>.</p>`
      : html`<p class="empty">No mail matches. <a href="/">Show all</a></p>`;
  const table = html`<table class="mails">
      <thead><tr><th>Subject</th><th>To</th><th>From</th><th>Received (UTC)</th></tr></thead>
      <tbody>${rows}</tbody>
    </table>`;
  return page(
    "Mailbox",
    html`<header>
        <h1>Mailbox</h1>
        <form method="get" action="/" role="search">
          <input type="search" name="search" value="${search}" placeholder="subject, or whole address" aria-label="Search" />
          <button>Search</button>
        </form>
        <span class="count">${total} mails</span>
        <a id="fresh" data-newest="${newestId}" href="/" hidden></a>
      </header>
      ${mails.length === 0 ? empty : table}
      ${older === undefined ? "" : html`<p><a href="${older}">Older mails</a></p>`}`,
  );
}

export function mailPage(summary: MailSummary, email: Email): Html {
  const headers = email.headers.map(
    ({ originalKey, value }) => html`<tr><th scope="row">${originalKey}</th><td>${value}</td></tr>`,
  );
  const attachments = email.attachments.map(
    ({ filename, mimeType }) => html`<li>${filename ?? "(unnamed)"} <small>${mimeType}</small></li>`,
  );
  return page(
    email.subject ?? "(no subject)",
    html`<header><h1>${email.subject ?? "(no subject)"}</h1><a href="/">All mails</a></header>
      <dl>
        <dt>From</dt><dd>${summary.from}</dd>
        <dt>To</dt><dd>${summary.to.join(", ")}</dd>
        <dt>Received</dt><dd><time datetime="${summary.receivedAt}">${summary.receivedAt}</time></dd>
      </dl>
      ${email.html === undefined ? "" : html`<h2>HTML</h2><iframe sandbox title="The mail as HTML" src="/messages/${summary.id}/html"></iframe>`}
      <h2>Text</h2><pre>${email.text ?? "(none)"}</pre>
      ${attachments.length === 0 ? "" : html`<h2>Attachments</h2><ul>${attachments}</ul>`}
      <h2>Headers</h2><table class="headers"><tbody>${headers}</tbody></table>
      <p><a href="/api/messages/${summary.id}/raw">Raw message</a> (${summary.size} bytes)</p>`,
  );
}

export function notFoundPage(): Html {
  return page(
    "Not found",
    html`<header><h1>Not found</h1></header><p>There is no such mail. <a href="/">All mails</a></p>`,
  );
}

function page(title: string, body: Html): Html {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${title} – Warren mailbox</title>
    <link rel="stylesheet" href="/mailbox.css" />
    <script src="/mailbox.js" defer></script>
  </head>
  <body>${body}</body>
</html>
`;
}

function shortTime(iso: string): string {
  return iso.slice(0, 19).replace("T", " ");
}

/** Says how many new mails there are; never moves the rows under the reader's cursor. */
export const script = `const link = document.getElementById("fresh");
async function look() {
  if (document.visibilityState === "visible") {
    try {
      const { newestId } = await (await fetch("/api/counts")).json();
      const fresh = newestId - Number(link.dataset.newest);
      if (fresh > 0) { link.textContent = fresh + " new ↑"; link.hidden = false; }
    } catch { /* the sink is down: look again later */ }
  }
  setTimeout(look, 2000);
}
if (link !== null) setTimeout(look, 2000);
`;

export const stylesheet = `:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 0 auto; padding: 1rem; }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
h1 { font-size: 1.4rem; margin: 0.3rem 0; }
h2 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.35rem 0.6rem; border-bottom: 1px solid #8884; vertical-align: top; overflow-wrap: anywhere; }
.headers { font-size: 0.85rem; }
.headers th { width: 12rem; }
dl { display: grid; grid-template-columns: 6rem 1fr; margin: 0.6rem 0; }
dd { margin: 0; }
pre { white-space: pre-wrap; border: 1px solid #8884; padding: 0.8rem; }
iframe { width: 100%; height: 24rem; border: 1px solid #8884; background: #fff; }
.count { opacity: 0.7; }
input[type="search"] { width: 16rem; max-width: 100%; }
@media (max-width: 40rem) {
  .mails :is(th, td):is(:nth-child(2), :nth-child(3)) { display: none; }
}
`;
