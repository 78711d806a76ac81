/* Write native callbacks for the Callgate LLM gateway in C or C++.
 *
 * UNSTABLE: until it is declared stable, this interface may change in any release. A plugin that no
 * longer fits is refused at startup with a sentence that says so.
 *
 * A plugin is a shared object that exports one callback; CALLGATE_PLUGIN at the end of this file
 * makes it one. The guide is docs/c-plugins.md. In short:
 *
 * - The gateway calls a plugin's hooks for every call, on any of its threads, many at once, with
 *   the same instance. Data that an instance changes needs atomics or a lock.
 * - A hook must not block. A hook that takes more than 1 ms is counted and logged.
 * - Nothing contains a mistake: a crash ends the gateway, and no C++ exception may leave a function
 *   that the gateway calls.
 * - A callgate_view that the gateway returns is valid until the hook ends or until you call a
 *   function that changes something: copy it before you pass it to such a function. The gateway
 *   copies your data before a function returns.
 * - Neither side frees the other's memory.
 */
#ifndef CALLGATE_PLUGIN_H
#define CALLGATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* The contract this header was written for. */
#define CALLGATE_API_MAJOR 1
#define CALLGATE_API_MINOR 0

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns; text is UTF-8 and has no terminator. A NULL `ptr` means that there
 * is no such value, which is not the same as an empty one. */
typedef struct callgate_view {
  const uint8_t *ptr;
  size_t len;
} callgate_view;

/* A name and its value. */
typedef struct callgate_pair {
  callgate_view name;
  callgate_view value;
} callgate_pair;

/* What a hook decides. Other numbers are not for plugins in C; an unknown one is a fault. */
typedef uint32_t callgate_verdict;
#define CALLGATE_CONTINUE 0u /* go on */
#define CALLGATE_REPLY 1u    /* answered with `reply`; in on_llm_start only */
#define CALLGATE_REJECT 2u   /* refused with `reject` */
#define CALLGATE_FAULT 3u    /* the callback broke, and said how with `fault` */

/* The outcome of a change. Any other number is a refusal too. */
typedef uint32_t callgate_edit;
#define CALLGATE_OK 0u
#define CALLGATE_NOT_UTF8 1u    /* text is not UTF-8 */
#define CALLGATE_NOT_JSON 2u    /* a value is not JSON, or not an object where one is needed */
#define CALLGATE_NOT_FOUND 3u   /* there is no such message, header or parameter */
#define CALLGATE_WRONG_KIND 4u  /* the value is of another kind than the change needs */
#define CALLGATE_TOO_LATE 5u    /* this can no longer be changed in this hook */
#define CALLGATE_TOO_LARGE 6u   /* larger than the gateway's limits allow */
#define CALLGATE_NOT_ALLOWED 7u /* not allowed there: a header's name with a space */

/* How loud a line in the log is. */
#define CALLGATE_ERROR 1u
#define CALLGATE_WARN 2u
#define CALLGATE_INFO 3u
#define CALLGATE_DEBUG 4u
#define CALLGATE_TRACE 5u

/* A count or duration that is not known, and "no retry". */
#define CALLGATE_UNKNOWN UINT64_MAX

/* The version of a contract. */
typedef struct callgate_version {
  uint16_t major;
  uint16_t minor;
} callgate_version;

/* ---- The services of the gateway ------------------------------------------------------------ */

/* What became of an attempt to enter a window or to take from a bucket. */
typedef struct callgate_admission {
  uint64_t ticket;  /* not 0 when admitted: what `release` takes */
  uint64_t wait_ns; /* when refused: until the next place is free */
} callgate_admission;

/* Lent to `create`, valid until `destroy` returns. Every function takes `ctx` first, may be called
 * from any thread, and does not block. Read no member beyond `size`. A service that this gateway
 * does not offer is NULL. */
typedef struct callgate_host {
  size_t size; /* of this table, in bytes */
  callgate_version api;
  const void *ctx;
  /* Whether a level is listened to. */
  uint32_t (*log_enabled)(const void *ctx, uint32_t level);
  /* A line in the gateway's log, with `len` named fields. Never log prompts, replies or keys. */
  void (*log)(const void *ctx, uint32_t level, callgate_view message, const callgate_pair *fields,
              size_t len);
  /* Nanoseconds on a clock that never goes back; its zero means nothing. */
  uint64_t (*monotonic_ns)(const void *ctx);
  /* Milliseconds since 1970, UTC; may jump. */
  uint64_t (*unix_ms)(const void *ctx);
  /* One place in an exact sliding window of `limit` per `span_ns`. Counters are shared by all
   * instances of a callback and outlive them. */
  callgate_admission (*admit)(const void *ctx, callgate_view window, uint64_t limit,
                              uint64_t span_ns);
  /* Gives a place back. */
  void (*release)(const void *ctx, callgate_view window, uint64_t ticket);
  /* Takes `tokens` from a bucket that holds `burst` and is refilled at `rate` per second. */
  callgate_admission (*take)(const void *ctx, callgate_view bucket, double rate, double burst,
                             double tokens);
  /* Adds to a plain counter and returns its new value. */
  int64_t (*add)(const void *ctx, callgate_view counter, int64_t delta);
} callgate_host;

/* ---- The call --------------------------------------------------------------------------------
 *
 * What is lent to a hook is a handle: call its table's functions with its `ctx`, in this hook only:
 * call.vt->model(call.ctx). Bit N of `present` says whether the table has its Nth function; all that
 * this header lists are there in every gateway of this major. */

/* Where a call shall go; a part whose `ptr` is NULL stays as planned. */
typedef struct callgate_route {
  callgate_view provider; /* a provider's name or label */
  callgate_view model;    /* the model's name at the upstream */
  callgate_view api_base; /* the upstream's base URL */
  callgate_view api_key;  /* the key to send; it can be set and never be read */
} callgate_route;

/* A refusal. */
typedef struct callgate_rejection {
  uint32_t status;         /* 400 to 599 */
  uint64_t retry_after_ms; /* CALLGATE_UNKNOWN for none */
  callgate_view code;      /* the error object's code; NULL for the status */
  callgate_view message;   /* what the client is told */
  const callgate_pair *headers;
  size_t headers_len;
} callgate_rejection;

/* A callback's own answer. */
typedef struct callgate_answer {
  uint32_t is_json; /* 1: `content` is a whole chat.completion; 0: the assistant's text */
  callgate_view content;
} callgate_answer;

/* Reads and changes of the call. Changes are for on_llm_start; later they are too late, but for
 * metadata and the note. Parameters are JSON, named by a dotted path. */
typedef struct callgate_call_vt {
  uint64_t present;
  const void *reserved;
  callgate_view (*id)(const void *ctx);
  uint32_t (*endpoint)(const void *ctx); /* 1: chat completions */
  uint32_t (*stream)(const void *ctx);   /* 1: the client asked for a stream */
  callgate_view (*requested_model)(const void *ctx);
  callgate_view (*model)(const void *ctx);
  callgate_edit (*set_model)(void *ctx, callgate_view model);
  callgate_view (*provider)(const void *ctx); /* absent: nothing serves the model */
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
  callgate_view (*key_id)(const void *ctx); /* who called; never the key */
  callgate_view (*metadata)(const void *ctx, callgate_view key); /* shared along the chain */
  callgate_edit (*set_metadata)(void *ctx, callgate_view key, callgate_view value);
  callgate_view (*local)(const void *ctx); /* this callback's own note on this call */
  callgate_edit (*set_local)(void *ctx, callgate_view note);
  uint64_t (*remaining_ms)(const void *ctx); /* to the deadline, or CALLGATE_UNKNOWN */
  uint32_t (*cancelled)(const void *ctx);    /* 1: the client has gone */
  /* What goes with a verdict. */
  void (*reject)(void *ctx, callgate_rejection rejection);
  void (*reply)(void *ctx, callgate_answer answer);
  void (*fault)(void *ctx, callgate_view message); /* for the log, not for the client */
} callgate_call_vt;

typedef struct callgate_call {
  void *ctx;
  const callgate_call_vt *vt;
} callgate_call;

/* Reads and changes of one streamed chunk. */
typedef struct callgate_chunk_vt {
  uint64_t present;
  const void *reserved;
  uint64_t (*index)(const void *ctx);
  callgate_view (*json)(const void *ctx);
  callgate_view (*text)(const void *ctx); /* what it adds to the first choice; may be empty */
  callgate_edit (*set_json)(void *ctx, callgate_view json);
  callgate_edit (*set_text)(void *ctx, callgate_view text);
  callgate_edit (*drop_chunk)(void *ctx);
} callgate_chunk_vt;

typedef struct callgate_chunk {
  void *ctx;
  const callgate_chunk_vt *vt;
} callgate_chunk;

/* Reads and changes of the answer. After a stream it can only be looked at, and `json` is absent.
 * Counts and durations may be CALLGATE_UNKNOWN. */
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
} callgate_reply_vt;

typedef struct callgate_reply {
  void *ctx;
  const callgate_reply_vt *vt;
} callgate_reply;

/* Reads and changes of a failure; it can be changed while nothing has been `sent`. Counts and
 * durations may be CALLGATE_UNKNOWN. */
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
  callgate_view (*text)(const void *ctx); /* what was streamed before it failed */
  uint64_t (*prompt_tokens)(const void *ctx);
  uint64_t (*completion_tokens)(const void *ctx);
  uint64_t (*total_tokens)(const void *ctx);
  uint64_t (*duration_ns)(const void *ctx);
  uint64_t (*upstream_duration_ns)(const void *ctx);
  uint64_t (*first_token_ns)(const void *ctx);
  callgate_view (*callback)(const void *ctx); /* which one refused or broke, if one did */
} callgate_failure_vt;

typedef struct callgate_failure {
  void *ctx;
  const callgate_failure_vt *vt;
} callgate_failure;

/* ---- The plugin ------------------------------------------------------------------------------ */

/* What `create` is given; the views and the table itself live until it returns, the host longer. */
typedef struct callgate_create_args {
  size_t size; /* of this table, in bytes */
  callgate_view instance; /* the entry's name in the config */
  callgate_view settings; /* one JSON object, checked against the manifest's schema */
  const callgate_host *host;
  /* Says why no instance can be made, for the operator: refuse(refusal, text). */
  void *refusal;
  void (*refuse)(void *refusal, callgate_view message);
} callgate_create_args;

/* What a plugin exports. `shutdown` and hooks that it does not have are NULL. */
typedef struct callgate_plugin {
  callgate_version api;
  uint32_t size; /* of this table, in bytes */
  /* The manifest, byte for byte as in the section. */
  callgate_view (*manifest)(void);
  /* Makes an instance and returns 0, or refuses and returns another number. May be called more than
   * once, for several entries and after a start: instances live at the same time. May block. */
  uint32_t (*create)(const callgate_create_args *args, void **instance);
  /* Ends an instance; the last function that is called with it. May block. */
  void (*destroy)(void *instance);
  /* No new call will come; hooks may still be running. May block. */
  void (*shutdown)(const void *instance);
  callgate_verdict (*on_llm_start)(const void *instance, callgate_call call);
  callgate_verdict (*on_llm_new_token)(const void *instance, callgate_call call,
                                       callgate_chunk chunk);
  callgate_verdict (*on_llm_end)(const void *instance, callgate_call call, callgate_reply reply);
  callgate_verdict (*on_llm_error)(const void *instance, callgate_call call,
                                   callgate_failure failure);
} callgate_plugin;

#define CALLGATE_STRING_(text) #text
#define CALLGATE_STRING(text) CALLGATE_STRING_(text)

/* The beginning of a manifest. What follows is one object for the callback, as a JSON text:
 * name, kind ("sync"), hooks, reads, writes (words with spaces between), settings_schema. */
#define CALLGATE_HEADER(package, version)                                                     \
  "{\"api\":\"" CALLGATE_STRING(CALLGATE_API_MAJOR) "." CALLGATE_STRING(CALLGATE_API_MINOR)   \
  "\",\"min_api\":\"1.0\",\"package\":\"" package "\",\"version\":\"" version "\"}\n"

/* Exports the plugin: once, in one file, without a semicolon behind it. `manifest_text` is a string
 * literal; NULL stands for `shutdown` and for hooks that are not there. */
#define CALLGATE_PLUGIN(manifest_text, create, destroy, shutdown, on_llm_start,               \
                        on_llm_new_token, on_llm_end, on_llm_error)                           \
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
        on_llm_error};                                                                        \
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
