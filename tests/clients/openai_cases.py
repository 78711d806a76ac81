"""OpenAI's client for Python."""

import asyncio
import base64
import json
import struct

import openai

MODELS = ["gpt", "llama", "gemma"]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
STATUSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


def messages(text="hi"):
    return [{"role": "user", "content": text}]


def raises(expected, call):
    try:
        call()
    except expected as error:
        return error
    raise AssertionError(f"expected {expected.__name__}")


def chat(client):
    for model in MODELS:
        reply = client.chat.completions.create(model=model, messages=messages(), temperature=0.2)
        assert reply.choices[0].message.content == "Hello world!", reply
        assert reply.model == model and reply.choices[0].finish_reason == "stop", reply
        assert reply.usage.total_tokens > 0, reply


def stream(client):
    for model in MODELS:
        chunks = list(client.chat.completions.create(model=model, messages=messages(), stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "Hello world!", chunks
        assert len({c.id for c in chunks}) == 1, chunks
        assert all(c.choices for c in chunks), "a usage chunk nobody asked for"


def stream_with_usage(client):
    for model in MODELS:
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(
                model=model, messages=messages(), stream=True, stream_options=options
            )
        )
        assert chunks[-1].usage.total_tokens > 0 and chunks[-1].choices == [], chunks[-1]


def stream_helper(client):
    for model in MODELS:
        with client.chat.completions.stream(model=model, messages=messages()) as events:
            final = events.get_final_completion()
        assert final.choices[0].message.content == "Hello world!", final


def tools(client):
    for model in MODELS:
        reply = client.chat.completions.create(model=model, messages=messages(), tools=[TOOL])
        call = reply.choices[0].message.tool_calls[0]
        assert json.loads(call.function.arguments) == {"city": "Paris"}, reply
        answer = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [*messages(), reply.choices[0].message.model_dump(exclude_none=True), answer]
        reply = client.chat.completions.create(model=model, messages=history, tools=[TOOL])
        assert reply.choices[0].message.content == "Hello world!", reply


def streamed_tools(client):
    for model in MODELS:
        with client.chat.completions.stream(
            model=model, messages=messages(), tools=[TOOL]
        ) as events:
            final = events.get_final_completion()
        call = final.choices[0].message.tool_calls[0]
        assert call.id and json.loads(call.function.arguments) == {"city": "Paris"}, final


def images(client):
    url = "data:image/png;base64,QUJD"
    content = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    for model in MODELS:
        reply = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}]
        )
        assert reply.choices[0].message.content, reply


def error_classes(client):
    for status, expected in STATUSES.items():
        for streaming in (False, True):
            error = raises(
                expected,
                lambda: client.chat.completions.create(
                    model=f"error-{status}", messages=messages(), stream=streaming
                ),
            )
            assert error.status_code == status, error
            assert error.code == "scripted" and error.type == "scripted_error", error.body
            assert "refused by the script" in str(error), error
            assert error.response.headers["retry-after"] == "7", error.response.headers


def unknown_model(client):
    error = raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="nope", messages=messages()),
    )
    assert "nope" in str(error), error


def wrong_key(client):
    wrong = client.with_options(api_key="sk-wrong")
    raises(
        openai.AuthenticationError,
        lambda: wrong.chat.completions.create(model="gpt", messages=messages()),
    )


def truncated_stream(client):
    def read():
        list(client.chat.completions.create(model="truncated", messages=messages(), stream=True))

    raises(openai.APIError, read)


def models(client):
    listed = [model.id for model in client.models.list()]
    assert listed[:3] == MODELS, listed
    assert client.models.retrieve("gpt").id == "gpt"


def raw_response(client):
    raw = client.chat.completions.with_raw_response.create(model="gpt", messages=messages())
    assert raw.headers["x-litellm-model-group"] == "gpt", raw.headers
    assert raw.parse().choices, raw.text


def extra_body(client):
    reply = client.chat.completions.create(
        model="gpt", messages=messages(), extra_body={"metadata": {"a": "b"}, "top_k": 3}
    )
    assert reply.choices, reply


def async_at_once(client):
    async def run():
        many = openai.AsyncOpenAI(
            base_url=client.base_url, api_key=client.api_key, max_retries=0
        )
        async with many:
            calls = (
                many.chat.completions.create(model=MODELS[i % 3], messages=messages())
                for i in range(30)
            )
            return await asyncio.gather(*calls)

    replies = asyncio.run(run())
    assert all(r.choices[0].message.content == "Hello world!" for r in replies)


def embeddings(client):
    for form in ("float", "base64"):
        reply = client.embeddings.create(model="gpt", input=["a", "b"], encoding_format=form)
        found = reply.data[1].embedding
        if isinstance(found, str):
            found = list(struct.unpack("<2f", base64.b64decode(found)))
        assert len(reply.data) == 2 and found == [0.5, -1.0], reply
    reply = client.embeddings.create(model="gemma", input="a")
    assert reply.data[0].embedding == [0.5, -1.0], reply


def completions(client):
    reply = client.completions.create(model="gpt", prompt="hi")
    assert reply.choices[0].text == "Hello world", reply
    chunks = list(client.completions.create(model="gpt", prompt="hi", stream=True))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "Hello world", chunks


def responses(client):
    reply = client.responses.create(model="gpt", input="hi")
    assert reply.output_text == "Hello world" and reply.status == "completed", reply
    events = list(client.responses.create(model="gpt", input="hi", stream=True))
    assert events[-1].type == "response.completed", events


def responses_of_any_provider(client):
    # `claude` gets messages in place of responses, `vllm` chats.
    for model in ("claude", "vllm"):
        reply = client.responses.create(model=model, instructions="Be brief.", input="hi")
        assert reply.output_text.startswith("Hello world"), reply
        assert reply.status == "completed" and reply.usage.total_tokens > 0, reply
        with client.responses.stream(model=model, input="hi") as events:
            final = events.get_final_response()
        assert final.output_text == reply.output_text, final
        error = raises(
            openai.BadRequestError,
            lambda: client.responses.create(model=model, input="hi", previous_response_id="resp_1"),
        )
        assert error.param == "previous_response_id", error
    tool = {"type": "function", **TOOL["function"], "strict": False}
    reply = client.responses.create(model="vllm", input="hi", tools=[tool])
    with client.responses.stream(model="vllm", input="hi", tools=[tool]) as events:
        streamed = events.get_final_response()
    for found in (reply, streamed):
        call = found.output[-1]
        assert call.type == "function_call", found
        assert json.loads(call.arguments) == {"city": "Paris"}, found
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    history = [*messages(), *(item.model_dump(exclude_none=True) for item in streamed.output), output]
    reply = client.responses.create(model="vllm", input=history, tools=[tool])
    assert reply.output_text == "Hello world!", reply


def other_kinds(client):
    assert client.moderations.create(model="gpt", input="hi").results[0].flagged is False
    assert client.images.generate(model="gpt", prompt="a cat").data[0].url
    sound = ("a.wav", b"RIFF", "audio/wav")
    assert client.audio.transcriptions.create(model="gpt", file=sound).text == "Hello world"
    assert client.audio.speech.create(model="gpt", voice="alloy", input="hi").read()
    picture = ("a.png", b"png", "image/png")
    assert client.images.edit(model="gpt", image=picture, prompt="a hat").data[0].url


CASES = [
    chat,
    stream,
    stream_with_usage,
    stream_helper,
    tools,
    streamed_tools,
    images,
    error_classes,
    unknown_model,
    wrong_key,
    truncated_stream,
    models,
    raw_response,
    extra_body,
    async_at_once,
    embeddings,
    completions,
    responses,
    responses_of_any_provider,
    other_kinds,
]


def suite(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=30)
    return client, CASES
