"""Reads the source of a skill in Python, as a program of the sandbox itself: what it finds wrong, and all that the source
reaches for, each with its line and column. Nothing of the source is run.
"""

import ast
import builtins
import collections
import symtable
import sys

MEMBERS = {"tools", "call", "fetch", "files"}
READERS = {"read", "read_bytes", "list"}
MADE = {"eval", "exec", "compile", "__import__"}
OUTSIDE = {
    "socket": "ctx.fetch(url)",
    "urllib.request": "ctx.fetch(url)",
    "http.client": "ctx.fetch(url)",
    "ftplib": "ctx.fetch(url)",
    "smtplib": "ctx.fetch(url)",
    "requests": "ctx.fetch(url)",
    "httpx": "ctx.fetch(url)",
    "aiohttp": "ctx.fetch(url)",
    "subprocess": "a tool",
    "multiprocessing": "asyncio.gather for what waits",
    "tempfile": "io.BytesIO, or ctx.files",
}
PREFER = "Name each tool in the source: ctx.tools.csv_summary(column='a')."
FOLLOW = "Use it directly, or hand it to a function of this module by its own name."
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def run(input, ctx):
    source = input["source"]
    try:
        tree = ast.parse(source, "skill.py")
        compile(source, "skill.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return {"syntax": {"line": error.lineno or 1, "column": error.offset or 1, "message": error.msg}}
    except (RecursionError, MemoryError):
        return {"deep": True}
    except ValueError as error:
        return {"syntax": {"line": 1, "column": 1, "message": str(error)}}
    try:
        return Reading(source, tree).answer()
    except RecursionError:
        return {"deep": True}


class Reading:
    def __init__(self, source, tree):
        self.source = source
        self.tree = tree
        self.lines = source.splitlines()
        self.found = {}
        self.tools = {}
        self.requests = {}
        self.files = {}
        self.functions = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS)}
        self.constants = constants_of(tree)
        self.followed = set()

    def answer(self):
        entry = self.functions.get("run")
        if entry is None:
            self.find(None, "no_run", "there is no function run", "Write: def run(input, ctx): … return output")
        else:
            self.check_entry(entry)
            self.follow(entry, 1, "ctx")
        self.check_imports()
        self.check_names()
        self.check_braces()
        texts = [
            {"text": node.value, **self.place(node)}
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{{secret:" in node.value
        ]
        return {
            "findings": list(self.found.values()),
            "tools": list(self.tools.values()),
            "requests": list(self.requests.values()),
            "files": list(self.files.values()),
            "texts": texts,
        }

    def place(self, node):
        line = getattr(node, "lineno", 1)
        # Python counts bytes, an author characters.
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        column = len(text.encode()[: getattr(node, "col_offset", 0)].decode("utf-8", "ignore")) + 1
        return {"line": line, "column": column}

    def find(self, node, rule, message, remedy, severity="error"):
        place = self.place(node) if node is not None else None
        key = (rule, message, place and (place["line"], place["column"]))
        told = {"rule": rule, "message": message, "remedy": remedy, "severity": severity}
        self.found[key] = {**told, **(place or {})}

    def check_entry(self, entry):
        args = entry.args
        positional = [*args.posonlyargs, *args.args]
        needed = len(positional) - len(args.defaults)
        lone = [name for name, default in zip(args.kwonlyargs, args.kw_defaults) if default is None]
        if len(positional) < 2 or needed > 2 or lone:
            self.find(entry, "signature", "run does not take (input, ctx)", "Write: def run(input, ctx):")
        if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(entry)):
            self.find(entry, "generator", "run is a generator", "Return one value.")

    def check_imports(self):
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.level > 0:
                self.find(node, "import", "there is no package to import from", "Write the few lines that you need.")
            elif isinstance(node, ast.ImportFrom):
                self.check_module(node, node.module or "")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.check_module(node, alias.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE:
                if node.func.id not in self.functions:
                    problem = "code is made from text at run time, which no reviewer can read"
                    self.find(node, "made_code", problem, "Write the code out.", "warning")

    def check_module(self, node, name):
        top = name.split(".")[0]
        instead = OUTSIDE.get(name) or OUTSIDE.get(top)
        known = getattr(sys, "stdlib_module_names", None)
        if known is not None and top not in known:
            remedy = f"Use {instead}." if instead else "Use the standard library, or call a saved skill: ctx.tools.<name>(…)."
            self.find(node, "import", f"{top} is not part of Python itself, and nothing else is there", remedy)
        elif instead:
            self.find(node, "no_use", f"{name} reaches nothing here", f"Use {instead}.", "warning")

    def check_names(self):
        """Names that nothing declares; Python itself would tell only when it comes to them."""
        if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(self.tree)):
            return
        table = symtable.symtable(self.source, "skill.py", "exec")
        declared = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        known = declared | globally_assigned(self.tree) | set(dir(builtins)) | {"ToolError", "__file__", "__name__", "__doc__"}
        unknown = {name for name in global_names(table) if name not in known}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in unknown:
                unknown.discard(node.id)
                remedy = "Take it as a parameter: def run(input, ctx)." if node.id in ("ctx", "input") else f"Declare {node.id}, or import it."
                self.find(node, "unknown_name", f"{node.id} is declared nowhere", remedy)

    def check_braces(self):
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr):
                texts = [part.value for part in node.values if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                if any("{secret:" in text and "{{secret:" not in text for text in texts):
                    problem = "in an f-string two braces become one, so this names no secret"
                    self.find(node, "dynamic_secret", problem, "Write it without f: 'Bearer {{secret:GITHUB_TOKEN}}'.")

    # What follows a meaning through names and the module's own functions: 'ctx', one of its members, ('tool', name) or
    # ('file', name).

    def follow(self, function, index, meaning):
        parameters = [*function.args.posonlyargs, *function.args.args]
        if index < len(parameters):
            self.follow_name(function, parameters[index].arg, meaning)

    def follow_name(self, function, name, meaning):
        key = (function, name, meaning)
        if key in self.followed:
            return
        self.followed.add(key)
        self.scan_function(function, {name: meaning})

    def scan_function(self, function, known):
        # Twice: a name may stand above where it gets its meaning.
        for _ in range(2):
            for statement in function.body if isinstance(function.body, list) else [function.body]:
                self.scan(statement, known)

    def scan(self, node, known):
        if isinstance(node, (*FUNCTIONS, ast.Lambda)):
            return self.scan_inner(node, known)
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            for name in node.names:
                if name in known:
                    self.escape(node, known[name])
            return
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            if self.assign(node, known):
                return
        if isinstance(node, ast.Call):
            return self.scan_call(node, known)
        if isinstance(node, ast.Attribute) or isinstance(node, ast.Name):
            meaning = self.meaning(node, known)
            if meaning:
                return self.escape(node, meaning)
        for child in ast.iter_child_nodes(node):
            if is_harmless(node, child) and self.meaning(child, known):
                continue
            self.scan(child, known)

    def scan_inner(self, node, known):
        args = node.args
        for default in [*args.defaults, *filter(None, args.kw_defaults), *getattr(node, "decorator_list", [])]:
            self.scan(default, known)
        own = {arg.arg for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg, args.kwarg])]}
        self.scan_function(node, {name: meaning for name, meaning in known.items() if name not in own})

    def assign(self, node, known):
        """True when a name got a meaning."""
        meaning = self.meaning(node.value, known)
        if not meaning:
            return False
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                known[target.id] = meaning
            else:
                self.escape(node.value, meaning)
        return True

    def meaning(self, node, known):
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, (ast.Await, ast.NamedExpr)):
            return self.meaning(node.value, known)
        if not isinstance(node, ast.Attribute):
            return None
        base = self.meaning(node.value, known)
        if base == "ctx":
            return node.attr if node.attr in MEMBERS else None
        if base == "tools":
            self.use(node, node.attr)
            return ("tool", node.attr)
        if base == "files":
            access = "read" if node.attr in READERS else "write"
            self.files[(node.lineno, node.col_offset)] = {"access": access, **self.place(node)}
            return ("file", node.attr)
        return None

    def scan_call(self, node, known):
        meaning = self.meaning(node.func, known)
        if meaning == "call":
            self.named_call(node)
        elif meaning == "fetch":
            self.request(node)
        elif meaning and not isinstance(meaning, tuple):
            self.escape(node.func, meaning)
        elif not meaning and not self.is_about(node.func, known):
            self.scan(node.func, known)
        function = self.functions.get(node.func.id) if isinstance(node.func, ast.Name) and node.func.id not in known else None
        is_spread = False
        for index, argument in enumerate(node.args):
            is_spread = is_spread or isinstance(argument, ast.Starred)
            self.scan_argument(argument, known, None if is_spread else function, index)
        for keyword in node.keywords:
            self.scan_argument(keyword.value, known, function if keyword.arg else None, keyword.arg)

    # ctx.log(…), and what else a member of ctx does that reaches nothing.
    def is_about(self, node, known):
        return isinstance(node, ast.Attribute) and self.meaning(node.value, known) == "ctx"

    def scan_argument(self, argument, known, function, place):
        meaning = self.meaning(argument, known)
        if not meaning:
            return self.scan(argument, known)
        if function is None:
            return self.escape(argument, meaning)
        if isinstance(place, int):
            return self.follow(function, place, meaning)
        self.follow_name(function, place, meaning)

    def named_call(self, node):
        text = self.text(node.args[0]) if node.args and not isinstance(node.args[0], ast.Starred) else None
        if text is None or not text["isWhole"]:
            problem = "the first argument of ctx.call is not a literal text"
            return self.find(node, "dynamic_tool", problem, "Write it out: ctx.call('csv_summary@^1', input).")
        name, _, range_ = text["text"][1:].partition("@")
        self.use(node, text["text"][:1] + name, range_ or None)

    def request(self, node):
        given = dict(zip(("url", "method", "headers", "body"), node.args))
        is_open = any(isinstance(argument, ast.Starred) for argument in node.args)
        for keyword in node.keywords:
            is_open = is_open or keyword.arg is None
            given[keyword.arg] = keyword.value
        unknown = {"text": "", "isWhole": False}
        address = unknown if is_open or "url" not in given else self.text(given["url"])
        method = {"text": "GET", "isWhole": True} if "method" not in given else self.text(given["method"])
        known = not is_open and method["isWhole"]
        told = {"address": address, **({"method": method["text"].upper()} if known else {})}
        self.requests[(node.lineno, node.col_offset)] = {**told, **self.place(node)}

    def text(self, node, steps=None):
        """The beginning of a text as far as the source says it, and whether that is all of it."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {"text": node.value, "isWhole": True}
        steps = [200] if steps is None else steps
        steps[0] -= 1
        parts = []
        if isinstance(node, ast.JoinedStr):
            parts = node.values
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts = [node.left, node.right]
        elif isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            parts = [node.value]
        elif isinstance(node, ast.Name) and node.id in self.constants:
            parts = [self.constants[node.id]]
        if not parts or steps[0] <= 0:
            return {"text": "", "isWhole": isinstance(node, ast.JoinedStr) and not parts}
        text = ""
        for part in parts:
            known = self.text(part, steps)
            text += known["text"]
            if not known["isWhole"]:
                return {"text": text, "isWhole": False}
        return {"text": text, "isWhole": True}

    def use(self, node, name, range_=None):
        told = {"name": name, **({"range": range_} if range_ else {}), **self.place(node)}
        self.tools.setdefault((name, range_), told)

    def escape(self, node, meaning):
        if isinstance(meaning, tuple):
            return
        name = "ctx" if meaning == "ctx" else f"ctx.{meaning}"
        is_computed = meaning == "tools"
        self.find(node, "ctx_escapes", f"{name} goes where its use cannot be followed", PREFER if is_computed else FOLLOW)


def is_harmless(parent, child):
    """Where a value is only looked at."""
    if isinstance(parent, (ast.Expr, ast.Compare, ast.UnaryOp)):
        return True
    return isinstance(parent, (ast.If, ast.IfExp, ast.While)) and child is parent.test


def own_nodes(function):
    """The nodes of a function without those of functions inside of it."""
    todo = collections.deque(function.body)
    while todo:
        node = todo.popleft()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))


def constants_of(tree):
    """Names that are bound once in the whole source, with what they were given."""
    times = collections.Counter()
    given = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            times[node.id] += 1
        elif isinstance(node, ast.arg):
            times[node.arg] += 1
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            times[node.name] += 1
        elif isinstance(node, ast.alias):
            times[(node.asname or node.name).split(".")[0]] += 1
        elif isinstance(node, ast.ExceptHandler) and node.name:
            times[node.name] += 1
        elif type(node).__name__ in ("MatchAs", "MatchStar") and node.name:
            times[node.name] += 1
        elif type(node).__name__ == "MatchMapping" and node.rest:
            times[node.rest] += 1
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            given[node.targets[0].id] = node.value
    return {name: value for name, value in given.items() if times[name] == 1}


def globally_assigned(tree):
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def global_names(table):
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    if table.get_type() == "module":
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced() and not symbol.is_assigned()}
    for inner in table.get_children():
        names |= global_names(inner)
    return names
