export type { Ledger } from "@warren/ledger";
