/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** The text of INFO: sections of {@code name:value} lines. */
final class InfoReport {
    private final Map<String, Supplier<Map<String, String>>> sections = new LinkedHashMap<>();
    private final Server server;

    InfoReport(Server server) {
        this.server = server;
        sections.put("server", this::server);
        sections.put("clients", this::clients);
        sections.put("memory", this::memory);
        sections.put("persistence", this::persistence);
        sections.put("stats", this::stats);
        sections.put("mvstore", this::mvstore);
        sections.put("warmcache", () -> server.cache().fields());
        sections.put("keyspace", this::keyspace);
    }

    /** @param wanted names of sections in lower case; all if it is empty or holds a name for all */
    String text(List<String> wanted) {
        boolean all = wanted.isEmpty()
                || wanted.contains("all") || wanted.contains("everything") || wanted.contains("default");
        StringBuilder text = new StringBuilder();
        sections.forEach((name, fields) -> {
            if (all || wanted.contains(name)) {
                text.append(text.isEmpty() ? "# " : "\r\n# ");
                text.append(Character.toUpperCase(name.charAt(0))).append(name, 1, name.length()).append("\r\n");
                fields.get().forEach((field, value) -> text.append(field).append(':').append(value).append("\r\n"));
            }
        });
        return text.toString();
    }

    private Map<String, String> server() {
        Fields fields = new Fields();
        fields.put("redis_version", Server.REDIS_VERSION);
        fields.put("redis_mode", "standalone");
        fields.put("server_name", "warmcache-kv");
        fields.put("process_id", ProcessHandle.current().pid());
        fields.put("tcp_port", server.port());
        fields.put("uptime_in_seconds", TimeUnit.NANOSECONDS.toSeconds(server.uptimeNanos()));
        fields.put("event_loop_threads", server.config().threads());
        return fields.map;
    }

    private Map<String, String> clients() {
        Fields fields = new Fields();
        fields.put("connected_clients", server.clients());
        fields.put("maxclients", server.config().limits().clients());
        return fields.map;
    }

    private Map<String, String> memory() {
        Runtime runtime = Runtime.getRuntime();
        Fields fields = new Fields();
        fields.put("used_memory", runtime.totalMemory() - runtime.freeMemory());
        fields.put("maxmemory", 0);
        fields.put("heap_committed_bytes", runtime.totalMemory());
        fields.put("heap_max_bytes", runtime.maxMemory());
        return fields.map;
    }

    private Map<String, String> persistence() {
        Committer committer = server.storage().committer();
        Fields fields = new Fields();
        fields.put("loading", 0);
        fields.put("durability", committer.durability().word());
        fields.put("file", server.config().fileName());
        fields.put("commits", committer.commits());
        fields.put("forces", committer.forces());
        fields.put("last_commit_micros", committer.lastCommitNanos() / 1000);
        fields.put("unsaved_bytes", committer.unsavedBytes());
        fields.put("reclaim_passes", committer.reclaims());
        return fields.map;
    }

    private Map<String, String> stats() {
        ServerStats stats = server.stats();
        Fields fields = new Fields();
        fields.put("total_connections_received", stats.connections.sum());
        fields.put("rejected_connections", stats.rejectedConnections.sum());
        fields.put("total_commands_processed", stats.commands.sum());
        fields.put("total_error_replies", stats.errorReplies.sum());
        fields.put("protocol_errors", stats.protocolErrors.sum());
        fields.put("keyspace_hits", stats.keyspaceHits.sum());
        fields.put("keyspace_misses", stats.keyspaceMisses.sum());
        fields.put("expired_keys", stats.expiredKeys.sum());
        return fields.map;
    }

    private Map<String, String> mvstore() {
        Fields fields = new Fields();
        fields.put("mvstore_cache_bytes", (long) server.config().mvstoreCacheMiB() << 20);
        fields.put("mvstore_page_bytes", server.config().mvstorePageBytes());
        server.storage().describe().forEach((name, value) ->
                fields.put("mvstore_" + name.substring(name.indexOf('.') + 1).toLowerCase(Locale.ROOT), value));
        return fields.map;
    }

    private Map<String, String> keyspace() {
        Fields fields = new Fields();
        for (Keyspace each : server.storage().keyspaces()) {
            long keys = each.size();
            if (keys > 0) {
                fields.put("db" + each.number(), "keys=" + keys + ",expires=" + each.expiring() + ",avg_ttl=0");
            }
        }
        return fields.map;
    }

    private static final class Fields {
        private final Map<String, String> map = new LinkedHashMap<>();

        void put(String name, String value) {
            map.put(name, value);
        }

        void put(String name, long value) {
            map.put(name, Long.toString(value));
        }
    }
}
