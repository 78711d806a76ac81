/* Write native callbacks for the Callgate LLM gateway in C or C++.
 *
 * UNSTABLE: until it is declared stable, this interface may change in any release. The gateway
 * refuses a plugin of an older form at startup and says why.
 *
 * A plugin is a shared object that exports one callback with CALLGATE_PLUGIN, at the end of this
 * file. The guide is docs/c-plugins.md. In short:
 *
 * - The gateway calls a plugin's hooks for every call, on any of its threads, many at once, with
 *   the same instance. Data that changes needs atomics or a lock.
 * - A hook must not block. A hook that takes more than 1 ms is counted and logged.
 * - A crash in a plugin ends the gateway. A C++ exception must not leave a function that the gateway
 *   calls.
 * - A callgate_view that the gateway returns is valid until the hook ends or until you call a
 *   function that changes something: copy it before you pass it to such a function. The gateway
 *   copies your data before a function returns.
 * - Neither side frees the other's memory.
 */
#ifndef CALLGATE_PLUGIN_H
#define CALLGATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* The version of the contract that this header declares. */
#define CALLGATE_API_MAJOR 1
#define CALLGATE_API_MINOR 1

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns. Text is UTF-8 and has no terminator. A NULL `ptr` means that the
 * value does not exist, which is not the same as an empty value. */
typedef struct callgate_view {
  const uint8_t *ptr;
  size_t len;
} callgate_view;

/* A name and its value. */
typedef struct callgate_pair {
  callgate_view name;
  callgate_view value;
} callgate_pair;

/* The decision of a hook. Plugins in C use these numbers only; an unknown number is a fault. */
typedef uint32_t callgate_verdict;
#define CALLGATE_CONTINUE 0u /* continue */
#define CALLGATE_REPLY 1u    /* answer with the argument of `reply`; in on_llm_start only */
#define CALLGATE_REJECT 2u   /* refuse with the argument of `reject` */
#define CALLGATE_FAULT 3u    /* the callback failed, for the reason passed to `fault` */

/* The outcome of an edit. Any other number is an error too. */
typedef uint32_t callgate_edit;
#define CALLGATE_OK 0u
#define CALLGATE_NOT_UTF8 1u    /* the text is not UTF-8 */
#define CALLGATE_NOT_JSON 2u    /* the value is not JSON, or not an object although one is needed */
#define CALLGATE_NOT_FOUND 3u   /* the message, header or parameter does not exist */
#define CALLGATE_WRONG_KIND 4u  /* the value has the wrong kind for this edit */
#define CALLGATE_TOO_LATE 5u    /* this hook runs too late for the edit */
#define CALLGATE_TOO_LARGE 6u   /* larger than the gateway's limits allow */
#define CALLGATE_NOT_ALLOWED 7u /* not allowed there: a header name with a space */

/* The level of a log line. */
#define CALLGATE_ERROR 1u
#define CALLGATE_WARN 2u
#define CALLGATE_INFO 3u
#define CALLGATE_DEBUG 4u
#define CALLGATE_TRACE 5u

/* An unknown count or duration; in a rejection, no `Retry-After`. */
#define CALLGATE_UNKNOWN UINT64_MAX

/* The version of a contract. */
typedef struct callgate_version {
  uint16_t major;
  uint16_t minor;
} callgate_version;

/* ---- The services of the gateway ------------------------------------------------------------ */

/* The result of an attempt to enter a window or to take from a bucket. */
typedef struct callgate_admission {
  uint64_t ticket;  /* the ticket for `release`; 0 if not admitted */
  uint64_t wait_ns; /* if not admitted: time until the next attempt can succeed */
} callgate_admission;

/* A function that gets names with their numbers, before the function that it was passed to returns.
 * It must not call the gateway. */
typedef struct callgate_visitor {
  void (*visit)(void *arg, callgate_view name, int64_t number);
  void *arg;
} callgate_visitor;

/* The gateway's services for one instance, valid from `create` until `destroy` returns. Every
 * function takes `ctx` first, may be called from any thread, and does not block. Read no member
 * beyond `size`. A service that the gateway does not offer is NULL. */
typedef struct callgate_host {
  size_t size; /* of this table, in bytes */
  callgate_version api;
  const void *ctx;
  /* Returns 1 if lines of this level are kept. */
  uint32_t (*log_enabled)(const void *ctx, uint32_t level);
  /* Writes a line to the gateway's log, with `len` named fields. Never log prompts, replies or
   * keys. */
  void (*log)(const void *ctx, uint32_t level, callgate_view message, const callgate_pair *fields,
              size_t len);
  /* Returns nanoseconds on a clock that never goes back, from an arbitrary start. */
  uint64_t (*monotonic_ns)(const void *ctx);
  /* Returns milliseconds since 1970-01-01 UTC. May jump. */
  uint64_t (*unix_ms)(const void *ctx);
  /* Takes a place in an exact sliding window of `limit` per `span_ns`. All instances of an entry of
   * the config share its counters, which outlive them. */
  callgate_admission (*admit)(const void *ctx, callgate_view window, uint64_t limit,
                              uint64_t span_ns);
  /* Gives a place in a window back. */
  void (*release)(const void *ctx, callgate_view window, uint64_t ticket);
  /* Takes `tokens` from a bucket that holds at most `burst` and is refilled by `rate` a second. */
  callgate_admission (*take)(const void *ctx, callgate_view bucket, double rate, double burst,
                             double tokens);
  /* Adds to a plain counter and returns its new value. */
  int64_t (*add)(const void *ctx, callgate_view counter, int64_t delta);
  /* Since 1.1. Like `add`, for a number that is forgotten after `live_ns`. The time counts from the
   * call that makes the number or first gives it a time. */
  int64_t (*add_for)(const void *ctx, callgate_view counter, int64_t delta, uint64_t live_ns);
  /* Since 1.1. Removes a number and returns its last value, 0 if there was none. */
  int64_t (*remove)(const void *ctx, callgate_view counter);
  /* Since 1.1. Visits the numbers other than 0 whose names begin with `prefix` and come after
   * `after`, in the order of their names, at most `most` and never more than 1000. It looks at all
   * numbers of the entry. */
  void (*list)(const void *ctx, callgate_view prefix, callgate_view after, size_t most,
               callgate_visitor visitor);
  /* Since 1.1. Returns 1 if the config serves a model name, 0 if not, 2 if that is not known, as in
   * the probe. A reload may change the answer. */
  uint32_t (*has_model)(const void *ctx, callgate_view model);
} callgate_host;

/* ---- The call --------------------------------------------------------------------------------
 *
 * A hook gets handles. Call the functions of a handle's table with its `ctx`, in this hook only:
 * call.vt->model(call.ctx). Bit N of `present` says whether the table has its Nth function. Every
 * gateway of this major version has all functions that this header lists. */

/* The destination of a call. A part whose `ptr` is NULL keeps the planned value. */
typedef struct callgate_route {
  callgate_view provider; /* the provider's prefix or label */
  callgate_view model;    /* the model's name at the upstream */
  callgate_view api_base; /* the upstream's base URL */
  callgate_view api_key;  /* the key to send; no callback can read it back */
} callgate_route;

/* A rejection. */
typedef struct callgate_rejection {
  uint32_t status;         /* 400 to 599 */
  uint64_t retry_after_ms; /* CALLGATE_UNKNOWN for none */
  callgate_view code;      /* the error object's code; NULL stands for the status */
  callgate_view message;   /* the error object's message */
  const callgate_pair *headers;
  size_t headers_len;
} callgate_rejection;

/* A callback's own answer. */
typedef struct callgate_answer {
  uint32_t is_json; /* 1: `content` is a whole chat.completion; 0: the assistant's text */
  callgate_view content;
} callgate_answer;

/* Reads and edits of the call. Only on_llm_start may edit; later hooks may set metadata and the
 * note only. Parameters are JSON, named by a dotted path. */
typedef struct callgate_call_vt {
  uint64_t present;
  const void *reserved;
  callgate_view (*id)(const void *ctx);
  uint32_t (*endpoint)(const void *ctx); /* 1 chat, 2 completions, 3 embeddings, 4 responses, 5 messages, 6 moderations, 7 rerank, 8 images, 9 transcriptions, 10 translations, 11 speech, 12 image edits */
  uint32_t (*stream)(const void *ctx);   /* 1: the client asked for a stream */
  callgate_view (*requested_model)(const void *ctx);
  callgate_view (*model)(const void *ctx);
  callgate_edit (*set_model)(void *ctx, callgate_view model);
  callgate_view (*provider)(const void *ctx); /* absent if nothing serves the model */
  callgate_view (*upstream_model)(const void *ctx);
  callgate_view (*api_base)(const void *ctx);
  callgate_edit (*set_route)(void *ctx, callgate_route route);
  callgate_edit (*set_upstream_header)(void *ctx, callgate_view name, callgate_view value);
  callgate_edit (*remove_upstream_header)(void *ctx, callgate_view name);
  callgate_view (*header)(const void *ctx, callgate_view name); /* credentials read as *** */
  size_t (*header_count)(const void *ctx);
  callgate_pair (*header_at)(const void *ctx, size_t index);
  callgate_view (*param)(const void *ctx, callgate_view path);
  callgate_edit (*set_param)(void *ctx, callgate_view path, callgate_view json);
  callgate_edit (*remove_param)(void *ctx, callgate_view path);
  size_t (*message_count)(const void *ctx);
  callgate_view (*message_role)(const void *ctx, size_t index);
  callgate_view (*message_text)(const void *ctx, size_t index);
  callgate_view (*message_json)(const void *ctx, size_t index);
  callgate_edit (*set_message_text)(void *ctx, size_t index, callgate_view text);
  callgate_edit (*set_message_json)(void *ctx, size_t index, callgate_view json);
  callgate_edit (*insert_message)(void *ctx, size_t index, callgate_view role, callgate_view text);
  callgate_edit (*remove_message)(void *ctx, size_t index);
  callgate_view (*body)(const void *ctx);
  callgate_edit (*replace_body)(void *ctx, callgate_view json);
  callgate_view (*key_id)(const void *ctx); /* the id of the client's key, never the key */
  callgate_view (*metadata)(const void *ctx, callgate_view key); /* shared by all callbacks */
  callgate_edit (*set_metadata)(void *ctx, callgate_view key, callgate_view value);
  callgate_view (*local)(const void *ctx); /* this callback's own note on this call */
  callgate_edit (*set_local)(void *ctx, callgate_view note);
  uint64_t (*remaining_ms)(const void *ctx); /* until the timeout, or CALLGATE_UNKNOWN */
  uint32_t (*cancelled)(const void *ctx);    /* 1: the client has disconnected */
  /* The content of a verdict. */
  void (*reject)(void *ctx, callgate_rejection rejection);
  void (*reply)(void *ctx, callgate_answer answer);
  void (*fault)(void *ctx, callgate_view message); /* for the log, not for the client */
  /* Since 1.1: a header of the client's response, whatever the outcome. */
  callgate_edit (*set_reply_header)(void *ctx, callgate_view name, callgate_view value);
  const void *reply_stream; /* since 1.1; not for C, which has no futures */
} callgate_call_vt;

typedef struct callgate_call {
  void *ctx;
  const callgate_call_vt *vt;
} callgate_call;

/* Reads and edits of a streamed chunk. */
typedef struct callgate_chunk_vt {
  uint64_t present;
  const void *reserved;
  uint64_t (*index)(const void *ctx);
  callgate_view (*json)(const void *ctx);
  callgate_view (*text)(const void *ctx); /* the text that it adds; may be empty */
  callgate_edit (*set_json)(void *ctx, callgate_view json);
  callgate_edit (*set_text)(void *ctx, callgate_view text);
  callgate_edit (*drop_chunk)(void *ctx);
  /* Since 1.1. */
  uint64_t (*choice)(const void *ctx); /* the text's choice, or CALLGATE_UNKNOWN */
  /* A further chunk after this one, or in its place if it is dropped. */
  callgate_edit (*emit_text)(void *ctx, callgate_view text);
  callgate_edit (*emit_json)(void *ctx, callgate_view json);
  /* Keeps the last bytes of the text for the choice's next chunk, whose text begins with them. */
  callgate_edit (*hold_back)(void *ctx, size_t bytes);
  size_t (*held)(const void *ctx);     /* the bytes at the text's beginning that were held back */
  uint32_t (*is_last)(const void *ctx); /* 1: nothing can be held back any longer */
} callgate_chunk_vt;

typedef struct callgate_chunk {
  void *ctx;
  const callgate_chunk_vt *vt;
} callgate_chunk;

/* Reads and edits of the answer. After a stream edits fail, and `json` is absent. Counts and
 * durations may be CALLGATE_UNKNOWN. */
typedef struct callgate_reply_vt {
  uint64_t present;
  const void *reserved;
  uint32_t (*status)(const void *ctx);
  callgate_view (*json)(const void *ctx);
  callgate_edit (*set_json)(void *ctx, callgate_view json);
  callgate_view (*text)(const void *ctx);
  callgate_edit (*set_header)(void *ctx, callgate_view name, callgate_view value);
  callgate_view (*finish_reason)(const void *ctx);
  uint64_t (*prompt_tokens)(const void *ctx);
  uint64_t (*completion_tokens)(const void *ctx);
  uint64_t (*total_tokens)(const void *ctx);
  uint64_t (*duration_ns)(const void *ctx);
  uint64_t (*upstream_duration_ns)(const void *ctx);
  uint64_t (*first_token_ns)(const void *ctx);
  uint32_t (*from_callback)(const void *ctx); /* 1: a callback answered */
  /* Since 1.1: the whole completion as JSON, of a stream if the manifest reads "completion". */
  callgate_view (*completion)(const void *ctx);
} callgate_reply_vt;

typedef struct callgate_reply {
  void *ctx;
  const callgate_reply_vt *vt;
} callgate_reply;

/* Reads and edits of a failure. Edits fail once something was `sent`. Counts and durations may be
 * CALLGATE_UNKNOWN. */
typedef struct callgate_failure_vt {
  uint64_t present;
  const void *reserved;
  uint32_t (*kind)(const void *ctx); /* the numbers are those of FailureKind in plugin-api */
  uint32_t (*status)(const void *ctx);
  callgate_view (*code)(const void *ctx);
  callgate_view (*message)(const void *ctx);
  callgate_edit (*set_status)(void *ctx, uint32_t status);
  callgate_edit (*set_message)(void *ctx, callgate_view message);
  uint32_t (*sent)(const void *ctx);
  callgate_view (*text)(const void *ctx); /* the text streamed before the failure */
  uint64_t (*prompt_tokens)(const void *ctx);
  uint64_t (*completion_tokens)(const void *ctx);
  uint64_t (*total_tokens)(const void *ctx);
  uint64_t (*duration_ns)(const void *ctx);
  uint64_t (*upstream_duration_ns)(const void *ctx);
  uint64_t (*first_token_ns)(const void *ctx);
  callgate_view (*callback)(const void *ctx); /* the callback that rejected or failed, if one did */
  /* Since 1.1. */
  callgate_view (*error_type)(const void *ctx);
  callgate_edit (*set_type)(void *ctx, callgate_view error_type);
  callgate_edit (*set_code)(void *ctx, callgate_view code);
  callgate_edit (*set_header)(void *ctx, callgate_view name, callgate_view value);
} callgate_failure_vt;

typedef struct callgate_failure {
  void *ctx;
  const callgate_failure_vt *vt;
} callgate_failure;

/* Since 1.1: a request whose sender `on_auth` names. The manifest declares its inputs in
 * `auth_headers`: names of headers in lower case, ":method", ":path" and ":client_address". No other
 * input is there, because the gateway keeps a result for the same values of exactly these. */
typedef struct callgate_auth_vt {
  uint64_t present;
  const void *reserved;
  callgate_view (*input)(const void *ctx, callgate_view name); /* the first value */
  size_t (*input_count)(const void *ctx);                      /* of all values */
  callgate_pair (*input_at)(const void *ctx, size_t index);
  /* With CALLGATE_REPLY: one JSON object with `key_id`, and optionally `alias`, `user`, `team`,
   * `tags`, `metadata`, `models`, `scopes` and `keep_for_ms`, as AuthCaller in plugin-api. */
  void (*caller)(void *ctx, callgate_view json);
  /* With CALLGATE_REJECT: the refusal, and for how many milliseconds the gateway keeps it. */
  void (*refuse)(void *ctx, callgate_rejection rejection, uint64_t keep_ms);
  void (*fault)(void *ctx, callgate_view message); /* with CALLGATE_FAULT */
} callgate_auth_vt;

typedef struct callgate_auth {
  void *ctx;
  const callgate_auth_vt *vt;
} callgate_auth;

/* Since 1.1: the models that a caller asks for. Each name has an index that never changes. */
typedef struct callgate_model_list_vt {
  uint64_t present;
  const void *reserved;
  size_t (*count)(const void *ctx);                   /* with the hidden names */
  callgate_view (*at)(const void *ctx, size_t index); /* absent if it is hidden */
  callgate_edit (*hide)(void *ctx, size_t index);
  callgate_edit (*add)(void *ctx, callgate_view model); /* or shows it again */
  /* A fact about the caller: "key_id", "alias", "user", "team", "tags" (a JSON list), "metadata" (a
   * JSON object), and "metadata.NAME". */
  callgate_view (*caller)(const void *ctx, callgate_view name);
  void (*refuse)(void *ctx, callgate_rejection rejection); /* with CALLGATE_REJECT */
  void (*fault)(void *ctx, callgate_view message);         /* with CALLGATE_FAULT */
} callgate_model_list_vt;

typedef struct callgate_model_list {
  void *ctx;
  const callgate_model_list_vt *vt;
} callgate_model_list;

/* ---- The plugin ------------------------------------------------------------------------------ */

/* The arguments of `create`. The views and the table are valid until it returns, the host until
 * `destroy` returns. */
typedef struct callgate_create_args {
  size_t size; /* of this table, in bytes */
  callgate_view instance; /* the entry's name in the config */
  callgate_view settings; /* one JSON object, checked against the manifest's schema */
  const callgate_host *host;
  /* Gives the operator the reason why no instance can be made: refuse(refusal, text). */
  void *refusal;
  void (*refuse)(void *refusal, callgate_view message);
} callgate_create_args;

/* The table that a plugin exports. `shutdown` and missing hooks are NULL. */
typedef struct callgate_plugin {
  callgate_version api;
  uint32_t size; /* of this table, in bytes */
  /* The manifest, byte for byte as in the section. */
  callgate_view (*manifest)(void);
  /* Makes an instance and returns 0, or calls `refuse` and returns another number. The gateway may
   * call it several times, and several instances may exist at once. May block. */
  uint32_t (*create)(const callgate_create_args *args, void **instance);
  /* Frees an instance. It is the last function that gets the instance. May block. */
  void (*destroy)(void *instance);
  /* The instance gets no new calls; hooks may still be running. May block. */
  void (*shutdown)(const void *instance);
  callgate_verdict (*on_llm_start)(const void *instance, callgate_call call);
  callgate_verdict (*on_llm_new_token)(const void *instance, callgate_call call,
                                       callgate_chunk chunk);
  callgate_verdict (*on_llm_end)(const void *instance, callgate_call call, callgate_reply reply);
  callgate_verdict (*on_llm_error)(const void *instance, callgate_call call,
                                   callgate_failure failure);
  /* Since 1.1: CALLGATE_CONTINUE passes the request on to the next authenticator, or to the keys of
   * the config. Such a plugin needs CALLGATE_HEADER_MIN with "1.1". */
  callgate_verdict (*on_auth)(const void *instance, callgate_auth request);
  /* Since 1.1: changes the list of models that a caller sees. */
  callgate_verdict (*on_list_models)(const void *instance, callgate_model_list list);
} callgate_plugin;

#define CALLGATE_STRING_(text) #text
#define CALLGATE_STRING(text) CALLGATE_STRING_(text)

/* The header of a manifest. One JSON object for the callback follows it: name, kind ("sync"),
 * hooks, reads, writes (words separated by spaces), settings_schema; with the hook on_auth also
 * auth_headers. */
#define CALLGATE_HEADER(package, version) CALLGATE_HEADER_MIN(package, version, "1.0", "0.1.0")

/* The header of a plugin that cannot work with an older gateway: `min_api` is the version of the
 * contract that it needs, `min_gateway` the first version of Callgate that has it (1.0: 0.1.0,
 * 1.1: 0.1.0). */
#define CALLGATE_HEADER_MIN(package, version, min_api, min_gateway)                           \
  "{\"api\":\"" CALLGATE_STRING(CALLGATE_API_MAJOR) "." CALLGATE_STRING(CALLGATE_API_MINOR)   \
  "\",\"min_api\":\"" min_api "\",\"min_gateway\":\"" min_gateway                            \
  "\",\"package\":\"" package "\",\"version\":\"" version "\"}\n"

/* Exports the plugin. Use it once, in one file, without a semicolon after it. `manifest_text` is a
 * string literal. NULL stands for `shutdown` and for missing hooks. */
#define CALLGATE_PLUGIN(manifest_text, create, destroy, shutdown, on_llm_start,               \
                        on_llm_new_token, on_llm_end, on_llm_error)                           \
  CALLGATE_PLUGIN_WITH_AUTH(manifest_text, create, destroy, shutdown, on_llm_start,           \
                            on_llm_new_token, on_llm_end, on_llm_error, NULL, NULL)

/* As CALLGATE_PLUGIN, for a plugin that says who may call, or which models a caller sees. */
#define CALLGATE_PLUGIN_WITH_AUTH(manifest_text, create, destroy, shutdown, on_llm_start,     \
                                  on_llm_new_token, on_llm_end, on_llm_error, on_auth,        \
                                  on_list_models)                                             \
  CALLGATE_EXTERN_C_BEGIN                                                                     \
  __attribute__((used, section(".callgate.manifest"))) static const char                      \
      callgate_manifest_section[] = manifest_text;                                            \
  static callgate_view callgate_manifest(void) {                                              \
    callgate_view view = {(const uint8_t *)callgate_manifest_section,                         \
                          sizeof callgate_manifest_section};                                  \
    return view;                                                                              \
  }                                                                                           \
  __attribute__((visibility("default"))) const callgate_plugin *callgate_plugin_c_v1(void);   \
  const callgate_plugin *callgate_plugin_c_v1(void) {                                         \
    static const callgate_plugin plugin = {                                                   \
        {CALLGATE_API_MAJOR, CALLGATE_API_MINOR},                                             \
        sizeof(callgate_plugin),                                                              \
        callgate_manifest,                                                                    \
        create,                                                                               \
        destroy,                                                                              \
        shutdown,                                                                             \
        on_llm_start,                                                                         \
        on_llm_new_token,                                                                     \
        on_llm_end,                                                                           \
        on_llm_error,                                                                         \
        on_auth,                                                                              \
        on_list_models};                                                                      \
    return &plugin;                                                                           \
  }                                                                                           \
  CALLGATE_EXTERN_C_END

#ifdef __cplusplus
#define CALLGATE_EXTERN_C_BEGIN extern "C" {
#define CALLGATE_EXTERN_C_END }
}
#else
#define CALLGATE_EXTERN_C_BEGIN
#define CALLGATE_EXTERN_C_END
#endif

#endif
