"""The command line tool `llm`, with the gateway's models as its extra OpenAI models."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def prompt(llm):
    for model in ["gpt", "llama", "gemma", "claude"]:
        for stream in ([], ["--no-stream"]):
            said = llm("prompt", "-m", f"callgate-{model}", *stream, "--system", "Be brief.", "hi")
            assert said.stdout.startswith("Hello world"), said


def conversation(llm):
    llm("prompt", "-m", "callgate-gpt", "hi")
    assert llm("prompt", "--continue", "and?").stdout.startswith("Hello world")


def errors(llm):
    said = llm("prompt", "-m", "callgate-error-429", "hi", fails=True)
    assert "refused by the script" in said.stderr, said


CASES = [prompt, conversation, errors]


def suite(base, key):
    folder = Path(tempfile.mkdtemp())
    entry = "- {{model_id: callgate-{0}, model_name: {0}, api_base: '{1}/v1', api_key_name: callgate}}"
    models = ["gpt", "llama", "gemma", "claude", "error-429"]
    lines = [entry.format(model, base) for model in models]
    Path(folder, "extra-openai-models.yaml").write_text("\n".join(lines))
    Path(folder, "keys.json").write_text(f'{{"callgate": "{key}"}}')

    def llm(*arguments, fails=False):
        command = [Path(sys.executable).with_name("llm"), *arguments]
        environment = {**os.environ, "LLM_USER_PATH": str(folder)}
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert (ended.returncode != 0) == fails, ended
        return ended

    return llm, CASES
