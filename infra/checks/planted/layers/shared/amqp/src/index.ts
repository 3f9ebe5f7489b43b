export {
  claim,
} from "@warren/ledger";
