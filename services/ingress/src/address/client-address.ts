import { addressList, inAddressList, plainAddress } from "./address-list.ts";

export type ClientAddressOf = (peer: string | undefined, forwardedFor: string | undefined) => string | undefined;

/** Peers whose spelling and trust are remembered: proxies are few, and direct senders come again. */
const rememberedPeers = 10_000;

/**
 * Tells the sender's address. `X-Forwarded-For` counts only as far as trusted proxies wrote it: read from the right, the first
 * address that is not a trusted proxy is the sender; what stands left of it was written by the sender, who may lie.
 * `undefined` when that entry is no address.
 */
export function clientAddressOf(trustedProxies: readonly string[]): ClientAddressOf {
  const trusted = addressList(trustedProxies);
  const trustsNobody = trustedProxies.length === 0;
  const peers = new Map<string, { readonly address: string | undefined; readonly trusted: boolean }>();

  function judgePeer(peer: string) {
    let known = peers.get(peer);
    if (known === undefined) {
      const address = plainAddress(peer);
      known = { address, trusted: !trustsNobody && address !== undefined && inAddressList(trusted, address) };
      if (peers.size >= rememberedPeers) peers.clear();
      peers.set(peer, known);
    }
    return known;
  }

  return (peer, forwardedFor) => {
    if (peer === undefined) return undefined;
    const { address: peerAddress, trusted: peerTrusted } = judgePeer(peer);
    if (!peerTrusted || forwardedFor === undefined) return peerAddress;

    let address = peerAddress;
    const hops = forwardedFor.split(",");
    for (let at = hops.length - 1; at >= 0; at--) {
      address = plainAddress(hops[at] ?? "");
      if (address === undefined || !inAddressList(trusted, address)) return address;
    }
    return address;
  };
}
