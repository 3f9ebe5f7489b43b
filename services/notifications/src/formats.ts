import type { Money } from "@warren/contracts";

/** Writes amounts and moments the way the reader's locale does. */
export interface Formats {
  /** `100.00 RUB` in `ru` → `100,00 ₽`. */
  money(locale: string, amount: Money): string;
  /** An ISO 8601 moment as date, time and zone name. */
  moment(locale: string, iso: string): string;
}

/** Locales come from user data: the caches stay bounded. */
const maxCached = 200;

/** `timeZone`: IANA name of the zone moments are shown in. */
export function createFormats(options: { readonly timeZone: string }): Formats {
  const moneyFormats = new Map<string, Intl.NumberFormat>();
  const momentFormats = new Map<string, Intl.DateTimeFormat>();
  return {
    money(locale, amount) {
      const format = cached(
        moneyFormats,
        `${locale} ${amount.currency}`,
        () => new Intl.NumberFormat(locale, { style: "currency", currency: amount.currency }),
      );
      // a decimal string is formatted exactly; as a number 0.1 + 0.2 would show
      return format.format(amount.value as Intl.StringNumericLiteral);
    },
    moment(locale, iso) {
      const format = cached(
        momentFormats,
        locale,
        () =>
          new Intl.DateTimeFormat(locale, {
            year: "numeric",
            month: "long",
            day: "numeric",
            hour: "2-digit",
            minute: "2-digit",
            timeZoneName: "short",
            timeZone: options.timeZone,
          }),
      );
      return format.format(new Date(iso));
    },
  };
}

function cached<Value>(cache: Map<string, Value>, key: string, make: () => Value): Value {
  const known = cache.get(key);
  if (known !== undefined) {
    return known;
  }
  if (cache.size >= maxCached) {
    cache.clear();
  }
  const made = make();
  cache.set(key, made);
  return made;
}
