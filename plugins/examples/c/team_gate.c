/* Requires a header that names a team, sends one team to a provider of its own, and turns streams
 * into capitals. */

#include "callgate_plugin.h"

#include <stdlib.h>
#include <string.h>

typedef struct team_gate {
  const callgate_host *host;
  char header[64];   /* the client's header that names the team */
  char team[64];     /* the team with a provider of its own ... */
  char provider[64]; /* ... and that provider */
} team_gate;

static callgate_view text(const char *text) {
  callgate_view view = {(const uint8_t *)text, strlen(text)};
  return view;
}

/* Copies a member of the settings, which are compact JSON. The schema allows no quote or backslash
 * in the values, and at most 63 bytes. */
static int setting(callgate_view settings, const char *name, char out[64]) {
  char quoted[32] = "\"";
  strcat(strcat(quoted, name), "\":\"");
  size_t start = strlen(quoted);
  for (size_t at = 0; at + start < settings.len; at++) {
    if (memcmp(settings.ptr + at, quoted, start) == 0) {
      const uint8_t *value = settings.ptr + at + start;
      const uint8_t *end = (const uint8_t *)memchr(value, '"', settings.len - at - start);
      if (end == NULL || end - value > 63) {
        return 0;
      }
      memcpy(out, value, (size_t)(end - value));
      out[end - value] = '\0';
      return 1;
    }
  }
  return 0;
}

static uint32_t create(const callgate_create_args *args, void **instance) {
  team_gate *gate = (team_gate *)calloc(1, sizeof *gate);
  if (gate == NULL) {
    return 1;
  }
  gate->host = args->host;
  if (!setting(args->settings, "header", gate->header) ||
      !setting(args->settings, "team", gate->team) ||
      !setting(args->settings, "provider", gate->provider)) {
    args->refuse(args->refusal, text("expected `header`, `team` and `provider`, found fewer of them"));
    free(gate);
    return 1;
  }
  *instance = gate;
  return 0;
}

static void destroy(void *instance) { free(instance); }

static callgate_verdict on_llm_start(const void *instance, callgate_call call) {
  const team_gate *gate = (const team_gate *)instance;
  const callgate_host *host = gate->host;
  callgate_view team = call.vt->header(call.ctx, text(gate->header));
  char name[64];
  if (team.ptr == NULL || team.len >= sizeof name) {
    callgate_rejection rejection = {403, CALLGATE_UNKNOWN, text("team_missing"),
                                    text("name your team in a header"), NULL, 0};
    call.vt->reject(call.ctx, rejection);
    return CALLGATE_REJECT;
  }
  /* Copy the name: the first edit ends the gateway's views. */
  memcpy(name, team.ptr, team.len);
  name[team.len] = '\0';
  if (call.vt->set_upstream_header(call.ctx, text("x-team"), text(name)) != CALLGATE_OK) {
    call.vt->fault(call.ctx, text("the team's name is not a valid header value"));
    return CALLGATE_FAULT;
  }
  if (strcmp(name, gate->team) == 0) {
    callgate_route route = {text(gate->provider), {NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (call.vt->set_route(call.ctx, route) != CALLGATE_OK) {
      call.vt->fault(call.ctx, text("there is no such provider"));
      return CALLGATE_FAULT;
    }
  }
  if (host->add != NULL && host->add(host->ctx, text("calls"), 1) == 1) {
    callgate_pair field = {text("provider"), text(gate->provider)};
    host->log(host->ctx, CALLGATE_INFO, text("the first call with a team"), &field, 1);
  }
  return CALLGATE_CONTINUE;
}

static callgate_verdict on_llm_new_token(const void *instance, callgate_call call,
                                         callgate_chunk chunk) {
  callgate_view added = chunk.vt->text(chunk.ctx);
  (void)instance;
  if (added.len == 0) {
    return CALLGATE_CONTINUE;
  }
  uint8_t *capitals = (uint8_t *)malloc(added.len);
  if (capitals == NULL) {
    call.vt->fault(call.ctx, text("out of memory"));
    return CALLGATE_FAULT;
  }
  for (size_t at = 0; at < added.len; at++) {
    uint8_t byte = added.ptr[at];
    capitals[at] = byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
  }
  callgate_view changed = {capitals, added.len};
  callgate_edit done = chunk.vt->set_text(chunk.ctx, changed);
  free(capitals);
  if (done != CALLGATE_OK) {
    call.vt->fault(call.ctx, text("the chunk's text cannot be changed"));
    return CALLGATE_FAULT;
  }
  return CALLGATE_CONTINUE;
}

CALLGATE_PLUGIN(CALLGATE_HEADER("team-gate", "1.0.0")
                "{\"name\":\"team_gate\",\"kind\":\"sync\","
                "\"hooks\":\"on_llm_start on_llm_new_token\","
                "\"reads\":\"headers chunk\",\"writes\":\"route headers chunk\","
                "\"settings_schema\":{\"type\":\"object\",\"additionalProperties\":false,"
                "\"required\":[\"header\",\"team\",\"provider\"],\"properties\":{"
                "\"header\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9-]{1,63}$\"},"
                "\"team\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9-]{1,63}$\"},"
                "\"provider\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9_]{1,63}$\"}}}}",
                create, destroy, NULL, on_llm_start, on_llm_new_token, NULL, NULL)
