// Node imports this file first: no address but loopback's is reached, and every attempt is written to $REACHED.
import { appendFileSync } from "node:fs";
import net from "node:net";

const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  const host = options?.host ?? "localhost";
  if (!options?.path && !/^(127\.|::1$|localhost$)/.test(host)) {
    appendFileSync(process.env.REACHED, `${host}\n`);
    throw new Error(`a client tried to reach ${host}`);
  }
  return connect.apply(this, args);
};
