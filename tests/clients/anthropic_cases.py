"""Anthropic's client for Python, which speaks `/v1/messages`."""

import anthropic

STATUSES = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
}
HI = [{"role": "user", "content": "hi"}]
# Models that get chats in place of messages.
CHATS = ["gpt", "llama"]
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def raises(expected, call):
    try:
        call()
    except expected as error:
        return error
    raise AssertionError(f"expected {expected.__name__}")


def message(client):
    reply = client.messages.create(model="claude", max_tokens=64, system="Be brief.", messages=HI)
    assert reply.content[0].text == "Hello world", reply
    assert reply.stop_reason == "end_turn" and reply.usage.output_tokens == 4, reply


def blocks(client):
    picture = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    content = [
        {"type": "text", "text": "what?", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": picture},
    ]
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    history = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]},
    ]
    reply = client.messages.create(
        model="claude", max_tokens=2048, messages=history, tools=[tool],
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert reply.content[0].text == "Hello world", reply


def stream(client):
    with client.messages.stream(model="claude", max_tokens=64, messages=HI) as events:
        assert "".join(events.text_stream) == "Hello world"
        final = events.get_final_message()
    assert final.stop_reason == "end_turn" and final.usage.output_tokens == 4, final


def beta_headers(client):
    reply = client.beta.messages.create(
        model="claude", max_tokens=64, messages=HI, betas=["context-1m-2025-08-07"]
    )
    assert reply.content[0].text == "Hello world", reply


def bearer_token(client):
    by_token = anthropic.Anthropic(
        base_url=client.base_url, api_key=None, auth_token=client.api_key, max_retries=0
    )
    assert by_token.messages.create(model="claude", max_tokens=64, messages=HI).content


def error_classes(client):
    for status, expected in STATUSES.items():
        error = raises(
            expected,
            lambda: client.messages.create(
                model=f"claude-error-{status}", max_tokens=64, messages=HI
            ),
        )
        assert error.status_code == status and "refused by the script" in str(error), error


def wrong_key(client):
    wrong = client.with_options(api_key="sk-wrong")
    raises(
        anthropic.AuthenticationError,
        lambda: wrong.messages.create(model="claude", max_tokens=64, messages=HI),
    )


def any_provider(client):
    for model in CHATS:
        reply = client.messages.create(model=model, max_tokens=64, system="Be brief.", messages=HI)
        assert reply.content[0].text == "Hello world!" and reply.model == model, reply
        assert reply.stop_reason == "end_turn" and reply.usage.output_tokens == 4, reply
        with client.messages.stream(model=model, max_tokens=64, messages=HI) as events:
            assert "".join(events.text_stream) == "Hello world!"
            final = events.get_final_message()
        assert final.stop_reason == "end_turn" and final.usage.output_tokens == 4, final


def tools_of_any_provider(client):
    for model in CHATS:
        asked = {"model": model, "max_tokens": 64, "tools": [TOOL]}
        reply = client.messages.create(messages=HI, **asked)
        with client.messages.stream(messages=HI, **asked) as events:
            streamed = events.get_final_message()
        for found in (reply, streamed):
            call = found.content[-1]
            assert call.type == "tool_use" and call.input == {"city": "Paris"}, found
            assert found.stop_reason == "tool_use", found
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [{"role": "assistant", "content": streamed.content}, {"role": "user", "content": [result]}]
        reply = client.messages.create(messages=[*HI, *turns], **asked)
        assert reply.content[0].text == "Hello world!", reply


def errors_of_any_provider(client):
    for status, expected in STATUSES.items():
        for streaming in (False, True):
            error = raises(
                expected,
                lambda: client.messages.create(
                    model=f"error-{status}", max_tokens=64, messages=HI, stream=streaming
                ),
            )
            assert error.status_code == status and "refused by the script" in str(error), error
            assert error.body["type"] == "error" and error.body["error"]["type"], error.body
    cut = client.messages.create(model="truncated", max_tokens=64, messages=HI, stream=True)
    raises(anthropic.APIStatusError, lambda: list(cut))


def counts(client):
    assert client.messages.count_tokens(model="claude", messages=HI).input_tokens == 11
    refused = raises(
        anthropic.BadRequestError,
        lambda: client.messages.count_tokens(model="gpt", messages=HI),
    )
    assert "`claude`" in str(refused), refused


CASES = [
    message,
    blocks,
    stream,
    beta_headers,
    bearer_token,
    error_classes,
    wrong_key,
    any_provider,
    tools_of_any_provider,
    errors_of_any_provider,
    counts,
]


def suite(base, key):
    return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=30), CASES
