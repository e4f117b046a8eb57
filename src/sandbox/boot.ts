import { maxDepth } from './protocol.ts';

/**
 * What every program finds around it, evaluated inside the engine before the program. It captures all it needs first, so
 * that a program which tampers with prototypes harms only itself. It answers the functions by which the thread speaks to
 * the program; `say` is the only way out.
 */
export const bootSource = `(function (say) {
  'use strict';
  const { parse, stringify } = JSON;
  const { freeze, defineProperty, create } = Object;
  const { construct, ownKeys, getOwnPropertyDescriptor } = Reflect;
  const { isArray } = Array;
  const { imul } = Math;
  const apply = Reflect.apply;
  const PromiseOf = Promise;
  const { atob: decode64, btoa: encode64 } = globalThis;
  const text = String;
  const slice = String.prototype.slice;
  const cut = (value, length) => apply(slice, value, [0, length]);
  const pending = create(null);
  let nextCall = 1, now = 0, state = 0, maxOutput = 0, isRunning = false, runs;
  // What is made while the module loads is shared by all calls, so it may not hold what differs between them.
  const onlyInRun = (what) => { if (!isRunning) throw new TypeError(what + ' is known only inside of run'); };

  class ToolError extends Error {
    constructor(tool, code, message) { super(message); this.tool = tool; this.code = code; }
  }
  defineProperty(ToolError.prototype, 'name', { value: 'ToolError' });
  globalThis.ToolError = ToolError;

  // mulberry32: fresh for each call, since the engine's own generator would repeat itself after every reset.
  const random = () => {
    onlyInRun('a random number');
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), 1 | state);
    t = (t + imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  defineProperty(Math, 'random', { value: random, writable: true, configurable: true });

  // One call has one time, so that a recorded call can be run again.
  const RealDate = Date;
  const time = () => { onlyInRun('the time'); return now; };
  function FixedDate(...parts) {
    if (new.target === undefined) return text(construct(RealDate, [time()]));
    return construct(RealDate, parts.length === 0 ? [time()] : parts, new.target);
  }
  for (const [key, value] of [['name', 'Date'], ['length', 7], ['prototype', RealDate.prototype], ['now', time], ['parse', RealDate.parse], ['UTC', RealDate.UTC]])
    defineProperty(FixedDate, key, { value });
  RealDate.prototype.constructor = FixedDate;
  globalThis.Date = FixedDate;
  delete globalThis.performance;
  // It would be handed the functions of every frame, those of this file among them.
  delete Error.prepareStackTrace;

  const safe = (get, fallback) => { try { const v = get(); return v === undefined || v === null ? fallback : cut(text(v), 4000); } catch { return fallback; } };
  const explain = (e) => {
    if (typeof e !== 'object' || e === null) return { __proto__: null, name: 'Thrown', message: safe(() => text(e), 'something that is not an error'), stack: '' };
    return {
      // Without the prototype whose toJSON the program may have set.
      __proto__: null,
      name: safe(() => e.name, 'Thrown'),
      message: safe(() => e.message, '') || safe(() => stringify(e), 'an object that is not an error'),
      stack: safe(() => e.stack, ''),
      tool: safe(() => e instanceof ToolError ? e.tool : undefined, undefined),
      code: safe(() => e instanceof ToolError ? e.code : undefined, undefined),
    };
  };
  const show = (value) => typeof value === 'string' ? value : safe(() => stringify(value), '') || safe(() => text(value), '?');
  const log = (...args) => { let line = ''; for (let i = 0; i < args.length; i++) line += (i ? ' ' : '') + show(args[i]); say('log', 0, cut(line, 64000), ''); };
  globalThis.console = freeze({ log, info: log, warn: log, error: log, debug: log });

  // stringify notices only after a second that a chain of 200,000 objects nests too deeply. It is asked all the same about
  // what is not found here: this follows only the first object in each.
  const firstKey = ['0'];
  const inner = (value) => {
    const keys = isArray(value) ? firstKey : ownKeys(value);
    for (let i = 0; i < keys.length; i++) {
      const own = typeof keys[i] === 'string' ? getOwnPropertyDescriptor(value, keys[i]) : undefined;
      if (own !== undefined && own.enumerable && typeof own.value === 'object' && own.value !== null) return own.value;
    }
  };
  const isChain = (value) => {
    let before;
    for (let depth = 0; depth <= ${maxDepth}; depth++) {
      // A ring, too, is left to stringify, which names it.
      if (typeof value !== 'object' || value === null || value === before || typeof value.toJSON === 'function') return false;
      if ((depth & (depth - 1)) === 0) before = value;
      value = inner(value);
    }
    return true;
  };

  const call = (name, input) => new PromiseOf((resolve, reject) => {
    const id = nextCall++;
    if (isChain(input)) { say('deep', 0, '', ''); return; }
    const json = stringify(input === undefined ? {} : input);
    if (json === undefined) { reject(new TypeError('the input of ' + text(name) + ' is not JSON')); return; }
    pending[id] = { resolve, reject };
    say('call', id, text(name), json);
  });
  // What the host does for code beside tools, by names that no tool can have; it refuses what was not granted.
  const host = (name, input) => call('ctx.' + name, input);
  const bytesOf = (data) => {
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (data instanceof ArrayBuffer) return new Uint8Array(data);
    throw new TypeError('data is a text, a Uint8Array or an ArrayBuffer');
  };
  const toBase64 = (data) => {
    const bytes = bytesOf(data);
    let binary = '';
    for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return encode64(binary);
  };
  const fromBase64 = (base64) => Uint8Array.from(decode64(base64), (c) => c.charCodeAt(0));
  const written = (data) => typeof data === 'string' ? { text: data } : { base64: toBase64(data) };
  const utf8Bytes = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));

  const fetch = async (url, { method, headers, body, ...more } = {}) => {
    const names = ownKeys(more);
    if (names.length > 0) throw new TypeError('fetch has no option ' + text(names[0]) + '; it has method, headers and body');
    const sent = body === undefined || body === null ? {} : typeof body === 'string' ? { body } : { body: toBase64(body), bodyEncoding: 'base64' };
    const answer = await host('fetch', { url: text(url), init: { method, headers, ...sent } });
    const isText = answer.bodyEncoding === 'utf8';
    const bytes = () => isText ? utf8Bytes(answer.body) : fromBase64(answer.body);
    return freeze({
      ok: answer.status >= 200 && answer.status < 300,
      status: answer.status,
      statusText: answer.statusText,
      url: answer.url,
      headers: freeze(answer.headers),
      async text() { if (!isText) throw new TypeError('the answer is no text; use bytes()'); return answer.body; },
      async json() { return parse(answer.body); },
      async bytes() { return bytes(); },
    });
  };
  const files = freeze({
    async read(path, range) { return (await host('files.read', { path, ...range })).text; },
    async readBytes(path, range) { return fromBase64((await host('files.read', { path, ...range, as: 'base64' })).base64); },
    async write(path, data) { await host('files.write', { path, ...written(data) }); },
    async append(path, data) { await host('files.append', { path, ...written(data) }); },
    async list(folder) { return (await host('files.list', { folder })).files; },
    async remove(path) { return (await host('files.remove', { path })).removed; },
  });
  const tools = new Proxy(freeze(create(null)), {
    get: (_, name) => typeof name === 'string' && name !== 'then' ? (input) => call(name, input) : undefined,
  });
  const ctx = freeze({
    tools, call, log, fetch, files,
    progress(done, total, message) {
      say('progress', 0, '', stringify({ __proto__: null, done: +done, total: total === undefined ? undefined : +total, message: message === undefined ? undefined : cut(text(message), 1000) }));
    },
    now: time,
    random,
  });

  const give = (value) => {
    if (typeof value === 'function' || typeof value === 'symbol') return say('bad', 0, 'a ' + typeof value + ' is not JSON', '');
    let json;
    try {
      if (isChain(value)) return say('deep', 0, '', '');
      json = stringify(value === undefined ? null : value);
    } catch (e) {
      const { name, message } = explain(e);
      if (name === 'InternalError' || name === 'RangeError') return say('fail', 0, stringify(explain(e)), 'stringify');
      return say('bad', 0, message, '');
    }
    if (json === undefined) json = 'null';
    if (json.length > maxOutput) return say('output', 0, '', '');
    say('done', 0, '', json);
  };
  const fail = (e) => say('fail', 0, stringify(explain(e)), '');

  return {
    use(namespace) {
      namespace.then((module) => {
        runs = module.default;
        if (typeof runs !== 'function') fail(new TypeError('the default export is not a function'));
      }, fail);
    },
    async run(input, at, seed, max) {
      now = at; state = seed | 0; maxOutput = max; isRunning = true;
      if (runs === undefined) return fail(new TypeError('the module never finished loading'));
      try { give(await runs(parse(input), ctx)); } catch (e) { fail(e); }
    },
    settle(id, ok, json) {
      const waiting = pending[id];
      if (waiting === undefined) return;
      delete pending[id];
      if (ok) return waiting.resolve(parse(json));
      const { tool, code, message } = parse(json);
      waiting.reject(new ToolError(tool, code, message));
    },
  };
})`;
