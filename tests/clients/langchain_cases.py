"""LangChain's models and embeddings over OpenAI's wire."""

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

MODELS = ["gpt", "llama", "gemma", "claude"]


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


def chat(model):
    for name in MODELS:
        reply = model(name).invoke([SystemMessage("Be brief."), HumanMessage("hi")])
        assert reply.content.startswith("Hello world"), reply
        assert reply.usage_metadata["total_tokens"] > 0, reply


def stream(model):
    for name in MODELS:
        chunks = list(model(name, stream_usage=True).stream("hi"))
        assert "".join(chunk.content for chunk in chunks).startswith("Hello world"), chunks
        assert sum(chunk.usage_metadata is not None for chunk in chunks) >= 1, chunks


def tools(model):
    for name in ["gpt", "llama", "gemma"]:
        bound = model(name).bind_tools([get_weather])
        reply = bound.invoke("the weather?")
        assert reply.tool_calls[0]["args"] == {"city": "Paris"}, reply
        call = reply.tool_calls[0]["id"]
        history = [HumanMessage("the weather?"), reply, ToolMessage("sunny", tool_call_id=call)]
        assert isinstance(bound.invoke(history), AIMessage)


def embeddings(model):
    own = model("gpt")
    embed = OpenAIEmbeddings(
        model="gpt", base_url=own.openai_api_base, api_key=own.openai_api_key,
        check_embedding_ctx_length=False, max_retries=0,
    )
    assert embed.embed_documents(["a", "b"]) == [[0.5, -1.0]] * 2


def errors(model):
    try:
        model("error-429").invoke("hi")
    except openai.RateLimitError as error:
        assert "refused by the script" in str(error), error
    else:
        raise AssertionError("expected RateLimitError")


CASES = [chat, stream, tools, embeddings, errors]


def suite(base, key):
    def model(name, **more):
        return ChatOpenAI(
            model=name, base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=30, **more
        )

    return model, CASES
