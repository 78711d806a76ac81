"""Clients that people use, against a running gateway, to find responses that they cannot handle.
Starts the scripted upstream and the gateway from the folder that is the first argument; the second
is the program for Node's clients."""

import json
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import anthropic_cases
import langchain_cases
import llm_cases
import openai_cases

KEY = "sk-local-admin"


def config(upstream):
    def entry(name, model, base):
        params = {"model": model, "api_base": base, "api_key": "sk-upstream"}
        return {"model_name": name, "litellm_params": params}

    base = f"http://{upstream}/v1"
    models = [
        entry("gpt", "openai/gpt-4o-mini", base),
        entry("llama", "groq/llama-3.3-70b-versatile", f"http://{upstream}/openai/v1"),
        entry("gemma", "ollama_chat/gemma3:4b", f"http://{upstream}"),
        entry("claude", "anthropic/claude-sonnet-4-5", f"http://{upstream}"),
        entry("truncated", "openai/truncated", base),
        entry("vllm", "hosted_vllm/qwen", base),
    ]
    for status in openai_cases.STATUSES:
        models.append(entry(f"error-{status}", f"openai/error-{status}", base))
        models.append(
            entry(f"claude-error-{status}", f"anthropic/error-{status}", f"http://{upstream}")
        )
    return {"general_settings": {"master_key": KEY}, "model_list": models}


def listening(gateway):
    """The gateway's base URL, from the log line that announces it."""
    for line in gateway.stderr:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        fields = record.get("fields", record)
        if str(fields.get("message", "")).startswith("listening"):
            # Read on, or the gateway would block on a full pipe.
            threading.Thread(target=gateway.stderr.read, daemon=True).start()
            return fields["address"]
    raise SystemExit("the gateway ended before it listened")


def main(build, node):
    pipe = {"text": True, "stdin": subprocess.PIPE}
    upstream = subprocess.Popen([build / "scripted-upstream"], stdout=subprocess.PIPE, **pipe)
    address = upstream.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(json.dumps(config(address)))
        arguments = ["--config", file, "--host", "127.0.0.1", "--port", "0"]
        arguments += ["--log-format", "json"]
        gateway = subprocess.Popen([build / "callgate", *arguments], stderr=subprocess.PIPE, **pipe)
        try:
            failed = run(listening(gateway), node)
        finally:
            for process in (gateway, upstream):
                process.terminate()
                process.wait()
    return 1 if failed else 0


def run(address, node):
    base = address if address.startswith("http") else f"http://{address}"
    passed = failed = 0
    for module in [openai_cases, anthropic_cases, langchain_cases, llm_cases]:
        client, cases = module.suite(base, KEY)
        for case in cases:
            name = f"{module.__name__.removesuffix('_cases')}: {case.__name__}"
            try:
                case(client)
                passed += 1
                print(f"ok      {name}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name}", flush=True)
                traceback.print_exc()
    ended = subprocess.run(
        ["node", node, f"{base}/v1", KEY], stdout=subprocess.PIPE, text=True, timeout=300
    )
    print(ended.stdout, end="")
    results = [line.split(" ", 1)[0] for line in ended.stdout.splitlines()]
    passed += results.count("ok")
    failed += results.count("FAILED") + (ended.returncode != 0 and "FAILED" not in results)
    if "ok" not in results:
        print("FAILED  node: no case passed")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
