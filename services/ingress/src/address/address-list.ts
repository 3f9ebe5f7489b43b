import { BlockList, isIP, isIPv6 } from "node:net";

/** Addresses and networks in CIDR notation as a set. Throws a `RangeError` that names the entry which is neither. */
export function addressList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits, ...rest] = entry.split("/");
    const family = isIP(address);
    const widest = family === 6 ? 128 : 32;
    const prefix = bits === undefined ? widest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (family === 0 || rest.length > 0 || !(prefix >= 0 && prefix <= widest)) {
      throw new RangeError(`${JSON.stringify(entry)} is neither an address nor a network such as 10.0.0.0/8`);
    }
    list.addSubnet(address, prefix, family === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/** `address` must be one that `plainAddress` gave. */
export function inAddressList(list: BlockList, address: string): boolean {
  return list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/**
 * One spelling of an address: `::ffff:1.2.3.4` (how a dual-stack socket names an IPv4 peer) becomes `1.2.3.4`, a port and brackets
 * fall off, as some proxies add them. `undefined` for anything that is no address, such as `unknown`.
 */
export function plainAddress(text: string): string | undefined {
  let address = text.trim();
  if (address.startsWith("[")) {
    const end = address.indexOf("]");
    if (end === -1 || !/^(?::\d{1,5})?$/.test(address.slice(end + 1))) return undefined;
    address = address.slice(1, end);
  } else if (address.indexOf(":") !== -1 && address.indexOf(":") === address.lastIndexOf(":")) {
    const [host = "", port = ""] = address.split(":");
    if (!/^\d{1,5}$/.test(port)) return undefined;
    address = host;
  }
  const mapped = /^::ffff:(?<dotted>\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.groups?.["dotted"];
  const plain = mapped ?? withoutZone(address);
  return isIP(plain) === 0 ? undefined : plain;
}

/** `fe80::1%eth0` names an interface of ours, which says nothing about the sender. */
function withoutZone(address: string): string {
  const zone = address.indexOf("%");
  return zone === -1 ? address : address.slice(0, zone);
}
