/** What every host shows its model about this server: at most 2 KB, the most important first. */
export const instructions = `ToolWeaver keeps skills: code that worked once, saved as tools you can call.
1. Search first: search_tools with one short query per need. Call a hit by its name, or with call_tool (any saved tool, also one saved a moment ago).
2. Reuse before you write. Improve an existing skill by saving under its name: that makes its next version.
3. Code that you may need again: save_skill, with schemas and one or more examples { input, output }. A skill that needs nothing outside itself and passes an example is callable at once; any other waits for a person (the answer says which command they run).
4. A task of several calls: run_code with all tools as ctx.tools.<name>(input), once; return only what you need. Save it by save_skill { from_run } when it worked.
In a skill: export default async function run(input, ctx) { … }. ctx.tools.<name>(input) calls another saved tool; ctx.fetch(url, { method, headers, body }) and ctx.files reach what capabilities declares: { net: ["api.example.com"], secrets: ["TOKEN"], files: "read" }. There is nothing else: no process, no import.
A result too large to show is kept for an hour: read it with get_run { run_id, path, offset, limit }.`;
