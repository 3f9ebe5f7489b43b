export function planted(): never {
  throw "planted";
}
