"""Runs programs inside of bubblewrap, in the interpreter of the program itself: nothing here is out of its reach. What
bounds it is the process, which may do nothing, and the server, which believes no message more than it would the program.
"""

import _thread
import base64
import builtins
import collections
import io
import json
import os
import random
import re
import resource
import sys
import threading
import time
import types

MEMORY_BYTES = int(sys.argv[1])
MAX_TEXT = 4_000
FREE_PROGRESS = 100
TELL_EVERY_SECONDS = 0.05
OUT_OF_MEMORY = 77


class ToolError(Exception):
    """A tool, or a request to the host, that failed: `tool`, `code` and a message."""

    def __init__(self, tool, code, message):
        super().__init__(message)
        self.tool = tool
        self.code = code


class Wire:
    """The lines to and from the server. A line is JSON, and after a tab the JSON text that it carries."""

    def __init__(self):
        self._in, self._out = os.dup(0), os.dup(1)
        # What the program reads or prints by itself goes nowhere.
        os.dup2(2, 0)
        os.dup2(2, 1)
        self._lines = collections.deque()
        self._parts = []
        self._writing = _thread.allocate_lock()

    def send(self, message, carried=None):
        text = json.dumps(message, separators=(",", ":"))
        line = text.encode() + (b"\n" if carried is None else b"\t" + carried + b"\n")
        with self._writing:
            view = memoryview(line)
            while view:
                view = view[os.write(self._out, view) :]

    def next(self):
        while not self._lines:
            self.read()
        head, _, carried = self._lines.popleft().partition(b"\t")
        return json.loads(head), carried

    def has_line(self):
        return bool(self._lines)

    def read(self):
        chunk = os.read(self._in, 2**20)
        if not chunk:
            os._exit(0)  # The server is gone.
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._lines.append(b"".join([*self._parts, line]))
            self._parts = []
        if rest:
            self._parts.append(rest)

    def on_readable(self, loop, hear):
        loop.add_reader(self._in, hear)

    def off_readable(self, loop):
        loop.remove_reader(self._in)


def to_json(value):
    """The JSON text of a value. Raises TypeError or ValueError for what JSON cannot carry as it is."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if re.search(r"\d{16}", text):
        json.loads(text, parse_int=exact)
    try:
        return text.encode()
    except UnicodeEncodeError:  # Half of a surrogate pair.
        return json.dumps(value, separators=(",", ":")).encode()


# Numbers are doubles on the other side, where an integer that is none would become another one.
def exact(digits):
    number = int(digits)
    if number != int(float(number)):
        raise ValueError(f"the integer {digits[:40]} is larger than JSON numbers are exact; hand it over as text")
    return number


class Job:
    """One call of the program: what it says, asks the host and logs."""

    def __init__(self, message):
        self.id = message["id"]
        self.limits = message["limits"]
        self.now = message["now"]
        self.random = random.Random(message["seed"])
        self.loop = None
        self._started = time.monotonic()
        self._calls = 0
        self._logs = []
        self._room = self.limits["logBytes"]
        self._told = 0
        self._told_at = 0.0
        self._untold = None
        # For blocking calls, of which several threads may wait: one of them reads for all.
        self._news = threading.Condition()
        self._answers = {}
        self._is_read = False
        # For awaited ones.
        self._futures = {}

    def call(self, name, value):
        """Asks the host: what it answers, or in async code what can be awaited for it."""
        if job is not self:
            raise RuntimeError("the call that this ctx belongs to has ended")
        name = str(name)
        try:
            carried = to_json({} if value is None else value)
        except RecursionError:
            self.end_at("depth")
        except (TypeError, ValueError) as error:
            raise TypeError(f"the input of {name} is not JSON: {error}") from None
        with self._news:
            self._calls += 1
            number = self._calls
            if self.loop:
                self._futures[number] = self.loop.create_future()
        wire.send({"t": "call", "id": self.id, "call": number, "name": name}, carried)
        return self._futures[number] if self.loop else self._wait(number)

    def _wait(self, number):
        while True:
            with self._news:
                while number not in self._answers and self._is_read:
                    self._news.wait()
                if number in self._answers:
                    return settled(*self._answers.pop(number))
                self._is_read = True
            try:
                message, carried = wire.next()
            finally:
                with self._news:
                    self._is_read = False
                    self._news.notify_all()
            with self._news:
                if message.get("id") == self.id:
                    self._answers[message["call"]] = message, carried

    def hear(self):
        """Settles the futures whose answers have come."""
        wire.read()
        while wire.has_line():
            message, carried = wire.next()
            future = self._futures.pop(message.get("call"), None) if message.get("id") == self.id else None
            if future is None or future.done():
                continue
            try:
                future.set_result(settled(message, carried))
            except Exception as error:
                future.set_exception(error)

    def log(self, line):
        if job is not self or self._room <= 0:
            return
        self._logs.append(line if len(line) <= self._room else line[: self._room] + "…")
        self._room -= len(line) + 1

    def progress(self, done, total, message):
        text = None if message is None else str(message)[:1_000]
        self._untold = {"done": done, "total": total, "message": text}
        to_json(self._untold)
        if self._told < FREE_PROGRESS or time.monotonic() - self._told_at >= TELL_EVERY_SECONDS:
            self._tell()

    # The first hundred are told each; of thousands a second the latest is enough.
    def _tell(self):
        if self._untold is None or job is not self:
            return
        self._told += 1
        self._told_at = time.monotonic()
        told = {key: value for key, value in self._untold.items() if value is not None}
        wire.send({"t": "progress", "id": self.id, "progress": told})
        self._untold = None

    def end(self, how, carried=None):
        global job
        if job is not self:
            return
        printed.finish()
        self._tell()
        job = None
        usage = {"wallMs": (time.monotonic() - self._started) * 1_000, "cpuMs": 0, "hostCalls": self._calls}
        wire.send({"t": "end", "id": self.id, "logs": self._logs, "usage": usage, "end": how}, carried)

    def end_at(self, limit):
        """Ends the job, and with it the process: after a limit it may be in any state."""
        self.end({"ok": False, "kind": "limit", "limit": limit})
        os._exit(1)

    def fail(self, error):
        if isinstance(error, MemoryError):
            self.end_at("memory")
        if isinstance(error, RecursionError):
            self.end_at("stack")
        self.end({"ok": False, "kind": "thrown", "error": explain(error)})

    def give(self, value):
        try:
            carried = to_json(value)
        except RecursionError:
            self.end_at("depth")
        except MemoryError:
            self.end_at("memory")
        except Exception as error:
            return self.end({"ok": False, "kind": "bad_output", "message": said(error)})
        if len(carried) > self.limits["outputBytes"]:
            self.end_at("output")
        self.end({"ok": True}, carried)


def settled(message, carried):
    if message["ok"]:
        return json.loads(carried)
    error = message["error"]
    raise ToolError(error.get("tool"), error.get("code"), error["message"])


def said(error):
    try:
        return str(error)[:MAX_TEXT]
    except Exception:
        return "an error that cannot be shown"


def explain(error):
    told = {"name": type(error).__name__[:100], "message": said(error)}
    line = line_of(error)
    if line is not None:
        told["line"] = line
    if isinstance(error, ToolError):
        told.update(tool=str(error.tool)[:200], code=str(error.code)[:200])
    return told


def line_of(error):
    """The author's line on which it happened: the innermost that is one."""
    line = None
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "skill.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    if line is None and isinstance(error, SyntaxError) and error.filename == "skill.py":
        return error.lineno
    return line


class Printed(io.TextIOBase):
    """stdout and stderr of the program: each line is one of its log."""

    encoding = "utf-8"

    def __init__(self):
        self._rest = ""

    def writable(self):
        return True

    def write(self, text):
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[:64_000]
        for line in lines:
            if job:
                job.log(line)
        return len(text)

    def finish(self):
        if self._rest:
            self.write("\n")


class Tools:
    """`ctx.tools.name(**input)` or `ctx.tools.name(input)`."""

    def __init__(self, call):
        self._call = call

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda value=None, /, **fields: self._call(name, value, **fields)


class Response:
    """What came back for a request: `status`, `status_text`, `url`, `headers` by their names in lower case, and a body."""

    def __init__(self, answer):
        self.status = answer["status"]
        self.status_text = answer["statusText"]
        self.url = answer["url"]
        self.headers = answer["headers"]
        is_text = answer["bodyEncoding"] == "utf8"
        self.content = answer["body"].encode("utf-8", "surrogatepass") if is_text else base64.b64decode(answer["body"])

    @property
    def ok(self):
        return 200 <= self.status < 300

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.content)


class Files:
    """The workspace of the skill."""

    def __init__(self, ask):
        self._ask = ask

    def read(self, path, offset=None, length=None):
        return self._ask("ctx.files.read", whole(path=path, offset=offset, length=length), lambda answer: answer["text"])

    def read_bytes(self, path, offset=None, length=None):
        fields = whole(path=path, offset=offset, length=length)
        return self._ask("ctx.files.read", {**fields, "as": "base64"}, lambda answer: base64.b64decode(answer["base64"]))

    def write(self, path, content):
        return self._ask("ctx.files.write", {"path": path, **content_of(content)}, lambda _: None)

    def append(self, path, content):
        return self._ask("ctx.files.append", {"path": path, **content_of(content)}, lambda _: None)

    def list(self, folder=None):
        return self._ask("ctx.files.list", whole(folder=folder), lambda answer: answer["files"])

    def remove(self, path):
        return self._ask("ctx.files.remove", {"path": path}, lambda answer: answer["removed"])


def whole(**fields):
    return {key: value for key, value in fields.items() if value is not None}


def content_of(content):
    if isinstance(content, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(content).decode()}
    return {"text": content}


class Ctx:
    """What `run(input, ctx)` may reach. In `async def run` every answer is awaited."""

    def __init__(self, of):
        self._job = of
        self.tools = Tools(self.call)
        self.files = Files(self._ask)

    def call(self, name, value=None, /, **fields):
        return self._job.call(name, {**(value or {}), **fields} if fields else value)

    def fetch(self, url, method="GET", headers=None, body=None):
        init = whole(method=method, headers=headers)
        if isinstance(body, (bytes, bytearray, memoryview)):
            init.update(body=base64.b64encode(body).decode(), bodyEncoding="base64")
        elif body is not None:
            init.update(body=body)
        return self._ask("ctx.fetch", {"url": url, "init": init}, Response)

    def _ask(self, name, value, read):
        if not self._job.loop:
            return read(self._job.call(name, value))

        async def later(answer):
            return read(await answer)

        return later(self._job.call(name, value))

    def progress(self, done, total=None, message=None):
        self._job.progress(done, total, message)

    def log(self, *values):
        print(*values)

    def now(self):
        return self._job.now

    def random(self):
        return self._job.random.random()


def load(text):
    module = types.ModuleType("skill")
    module.__file__ = "skill.py"
    sys.modules["skill"] = module
    exec(compile(text, "skill.py", "exec"), module.__dict__)
    run = getattr(module, "run", None)
    if not callable(run):
        raise TypeError("there is no function run(input, ctx)")
    return run


def is_async(run):
    return bool(getattr(getattr(run, "__code__", None), "co_flags", 0) & 0x80)


def answer(run, value):
    """What the program answers. Tasks that it leaves behind are cancelled."""
    ctx = Ctx(job)
    if not is_async(run):
        return run(value, ctx)
    import asyncio

    async def main():
        job.loop = asyncio.get_running_loop()
        wire.on_readable(job.loop, job.hear)
        try:
            return await run(value, ctx)
        finally:
            wire.off_readable(job.loop)

    return asyncio.run(main())


def begin(message, carried):
    global job, program
    job = Job(message)
    random.seed(message["seed"])
    current = job
    if "text" in message:
        try:
            program = load(message["text"])
        except BaseException as error:
            current.fail(error)
            os._exit(1)  # The next call says it again, from the start.
    try:
        value = answer(program, json.loads(carried))
    except BaseException as error:
        current.fail(error)
    else:
        current.give(value)
    # A thread that goes on would do so in the next call.
    if _thread._count() > 0:
        os._exit(0)


def confine():
    """Takes from this process, before it has read any program, what the kernel lets nobody take back."""
    for kind, most in [
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]:
        resource.setrlimit(kind, (most, most))
    os.environ.clear()
    threading.stack_size(2**20)
    # The folder of this file, and those of packages that only this machine has.
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)]


job = None
program = None
confine()
wire = Wire()
printed = Printed()
builtins.ToolError = ToolError
ToolError.__module__ = "builtins"
sys.stdin = io.StringIO()
sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = printed
wire.send({"t": "ready"})
try:
    while True:
        message, carried = wire.next()
        # A late answer to a job that has ended is nobody's.
        if message["t"] == "run":
            begin(message, carried)
except MemoryError:
    os._exit(OUT_OF_MEMORY)
