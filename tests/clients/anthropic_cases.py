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


CASES = [message, blocks, stream, beta_headers, bearer_token, error_classes, wrong_key]


def suite(base, key):
    return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=30), CASES
