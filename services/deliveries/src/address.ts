import { BlockList, isIP, isIPv4 } from "node:net";

/**
 * What is not public, by IANA's special-purpose registries, and two addresses of clouds that look public and are not.
 * Sources: https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry, /ipv6-unicast-address-assignments.
 */
const refused4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10", // shared by carriers; 100.100.100.200 is Alibaba's metadata
  "127.0.0.0/8",
  "168.63.129.16/32", // Azure's platform
  "169.254.0.0/16", // link-local, and the metadata of most clouds
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24", // relays of 6to4
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
] as const;

/** Inside 2000::/3, the only part of IPv6 that is global unicast. */
const refused6 = [
  "2001::/23", // Teredo, ORCHID, benchmarks
  "2001:db8::/32",
  "2002::/16", // 6to4: reaches any IPv4 address
  "2620:4f:8000::/48",
  "3fff::/20",
] as const;

const global6 = blockListOf(["2000::/3"]);
const special4 = blockListOf(refused4);
const special6 = blockListOf(refused6);
const mapped = blockListOf(["::ffff:0:0/96"]);
/** The well-known prefix of RFC 6052; a network's own prefix is no different from its other addresses. */
const nat64 = blockListOf(["64:ff9b::/96"]);

/** Whether a delivery may go to an IP address. Text that is no address is refused. */
export type AddressGuard = (address: string) => boolean;

/** @throws RangeError for an entry that is neither an address nor a network. */
export function createAddressGuard(allowed: readonly string[]): AddressGuard {
  const own = blockListOf(allowed);
  return (address) => {
    const form = isIP(address);
    if (form === 0) return false;
    const inner = form === 4 ? address : embeddedIpv4(address);
    if (own.check(address, form === 4 ? "ipv4" : "ipv6")) return true;
    if (inner === undefined) return isPublic6(address);
    return own.check(inner, "ipv4") || !special4.check(inner, "ipv4");
  };
}

function isPublic6(address: string): boolean {
  return global6.check(address, "ipv6") && !special6.check(address, "ipv6");
}

/** The IPv4 address that a mapped or NAT64 one leads to. */
function embeddedIpv4(address: string): string | undefined {
  if (!mapped.check(address, "ipv6") && !nat64.check(address, "ipv6")) return undefined;
  const [, dotted] = /:(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? [];
  if (dotted !== undefined && isIPv4(dotted)) return dotted;
  // the URL parser writes every form the same way: the last two groups in hexadecimal, zeros left out
  const [high = 0, low = 0] = new URL(`http://[${address}]/`).hostname
    .slice(1, -1)
    .split(":")
    .slice(-2)
    .map((group) => Number.parseInt(group === "" ? "0" : group, 16));
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

function blockListOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", prefix, ...rest] = entry.split("/");
    const form = isIP(address);
    const widest = form === 4 ? 32 : 128;
    const bits = prefix === undefined ? widest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (form === 0 || rest.length > 0 || !(bits >= 0 && bits <= widest)) {
      throw new RangeError(`"${entry}" is neither an address nor a network such as 10.0.0.0/8`);
    }
    list.addSubnet(address, bits, form === 4 ? "ipv4" : "ipv6");
  }
  return list;
}
