import { connect, createServer, type Socket } from 'node:net';

/** How bytes go through: as they come, one by one in bits, late, not at all, or with the connection cut at once. */
export type Weather = 'clear' | 'bits' | 'late' | 'silent' | 'cut';

/** A network between a program and a server of this machine, whose weather a test makes. */
export interface Network {
  readonly port: number;
  weather: Weather;
  /** Looks at what the program sends; after `true` it is passed on and the connection is cut. */
  cutsAfter: ((bytes: Buffer) => boolean) | undefined;
  /** Given with each answer of the server, in the same packet. */
  postscript: Buffer | undefined;
  /** Cuts every connection that there is. */
  cut(): void;
  /** How many connections there are. */
  count(): number;
  /** The same address, through here. */
  through(address: string): string;
  close(): Promise<void>;
}

const lateMs = 50;
const bitBytes = 7;

/** Opens a proxy to a port of this machine. */
export async function openProxy(target: number): Promise<Network> {
  const pairs = new Set<[Socket, Socket]>();
  const server = createServer((near) => {
    if (proxy.weather === 'cut') return near.destroy();
    const far = connect(target, '127.0.0.1');
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
    let isDoomed = false;
    near.on('data', (bytes) => {
      pass(bytes, far);
      if (!proxy.cutsAfter?.(bytes)) return;
      isDoomed = true;
      setTimeout(end, lateMs);
    });
    far.on('data', (bytes) => {
      // The answer is lost with the connection that is about to be cut.
      if (!isDoomed) pass(proxy.postscript ? Buffer.concat([bytes, proxy.postscript]) : bytes, near);
    });
  });
  const pass = (bytes: Buffer, to: Socket): void => {
    if (proxy.weather === 'silent' || to.destroyed) return;
    if (proxy.weather === 'late') setTimeout(() => void to.write(bytes), lateMs);
    else if (proxy.weather === 'bits')
      for (let at = 0; at < bytes.length; at += bitBytes) to.write(bytes.subarray(at, at + bitBytes));
    else to.write(bytes);
  };
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  const proxy: Network = {
    port,
    weather: 'clear',
    cutsAfter: undefined,
    postscript: undefined,
    cut: () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
    },
    count: () => pairs.size,
    through(address) {
      const url = new URL(address);
      url.port = String(port);
      return url.href;
    },
    close() {
      this.cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
