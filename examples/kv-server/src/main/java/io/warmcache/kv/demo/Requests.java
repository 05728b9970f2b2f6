/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv.demo;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The requests of the demo, and what is done with each answer: every value read is compared with what the oracle
 * allows, byte for byte, and every acknowledgement is told to it.
 *
 * <p>Key {@code k} belongs to connection {@code k % connections}, in every request, so that what a key must hold is
 * known from the order of requests on one connection.
 */
final class Requests {
    private final Model model;
    private final Oracle oracle;
    private final Tally tally;
    private final int connections;
    private String phase = "";

    private long answered;

    Requests(Model model, Oracle oracle, Tally tally, int connections) {
        this.model = model;
        this.oracle = oracle;
        this.tally = tally;
        this.connections = connections;
    }

    /** Names what is going on, for the report of a wrong value. */
    void phase(String name) {
        phase = name;
    }

    /** Requests answered so far. */
    long answered() {
        return answered;
    }

    /** Sends GET for a key. */
    Client.Request read(int key, CommandBuffer out) {
        Oracle.Allowed allowed = oracle.allowed(key);
        out.command(2).string("GET").string(model.name(key));
        return (reply, now) -> {
            answered++;
            check(key, allowed, reply);
        };
    }

    /** Sends the command that gives a key its next version. */
    Client.Request write(int key, CommandBuffer out) {
        int version = oracle.written(key);
        model.writeCommand(key, version, out);
        return (reply, now) -> {
            answered++;
            if (model.acknowledges(key, version, reply)) {
                tally.write();
                oracle.acknowledged(key, version, now);
            } else {
                tally.error(phase + ": the write of version " + version + " of " + model.nameText(key)
                        + " was answered with " + reply.kind() + " " + reply.text());
            }
        };
    }

    private void check(int key, Oracle.Allowed allowed, Reply reply) {
        if (reply.kind() == Reply.Kind.ERROR) {
            tally.error(phase + ": reading " + model.nameText(key) + " was answered with " + reply.text());
            return;
        }
        tally.read();
        int version = model.identify(key, reply, allowed);
        if (version < 0) {
            tally.wrongValue(phase + ": " + model.nameText(key) + " must be " + allowed + ", and is "
                    + model.describe(key, reply));
        } else {
            oracle.found(key, version, allowed, model.builds(key));
        }
    }

    /** Gives every blob its first version, in the order of the tree, and ends. */
    Pass loading() {
        return new Pass(model.blobs().treeOrder(), connections) {
            @Override
            public Client.@Nullable Request next(int connection, CommandBuffer out) {
                int key = nextKey(connection);
                return key < 0 ? null : write(key, out);
            }
        };
    }

    /** Reads every key once, in the order of the tree, {@code batch} keys with one MGET, and ends. */
    Pass verifying(int batch) {
        int[] blobs = model.blobs().treeOrder();
        int[] all = new int[model.keys()];
        System.arraycopy(blobs, 0, all, 0, blobs.length);
        for (int key = blobs.length; key < all.length; key++) {
            all[key] = key;
        }
        int[] keys = new int[batch];
        return new Pass(all, connections) {
            @Override
            public Client.@Nullable Request next(int connection, CommandBuffer out) {
                int count = 0;
                while (count < batch && (keys[count] = nextKey(connection)) >= 0) {
                    count++;
                }
                return count == 0 ? null : readAll(Arrays.copyOf(keys, count), out);
            }
        };
    }

    private Client.Request readAll(int[] keys, CommandBuffer out) {
        Oracle.Allowed[] allowed = new Oracle.Allowed[keys.length];
        out.command(keys.length + 1).string("MGET");
        for (int i = 0; i < keys.length; i++) {
            allowed[i] = oracle.allowed(keys[i]);
            out.string(model.name(keys[i]));
        }
        return (reply, now) -> {
            answered++;
            if (reply.kind() != Reply.Kind.ARRAY || reply.size() != keys.length) {
                tally.error(phase + ": MGET of " + keys.length + " keys from " + model.nameText(keys[0])
                        + " on was answered with " + reply.kind() + " " + reply.text());
                return;
            }
            for (int i = 0; i < keys.length; i++) {
                check(keys[i], allowed[i], reply.get(i));
            }
        };
    }

    /**
     * A mix of reads and writes without end.
     *
     * @param zipf ranks of the keys of one connection; the first ranks are spread over all keys by {@code seed}'s order
     * @param writes share of writes
     * @param order seed of the ranking; the same for all phases, so that all have the same favourite keys
     * @param seed of the sequence
     */
    Client.Source mixed(Zipf zipf, double writes, long order, long seed) {
        int[][] ranking = new int[connections][];
        RandomGenerator[] random = new RandomGenerator[connections];
        for (int connection = 0; connection < connections; connection++) {
            ranking[connection] = ranking(connection, order);
            random[connection] = new SplittableRandom(Mix.mix(seed, connection, connections));
        }
        return (connection, out) -> {
            RandomGenerator generator = random[connection];
            int[] keys = ranking[connection];
            int key = keys[Math.min(zipf.next(generator), keys.length - 1)];
            boolean write = generator.nextDouble() < writes;
            return write && (!model.builds(key) || oracle.settled(key)) ? write(key, out) : read(key, out);
        };
    }

    /** Keys of the connection with the fewest: how many ranks each connection has. */
    int ranks() {
        return Math.max(1, model.keys() / connections);
    }

    private int[] ranking(int connection, long order) {
        int[] keys = new int[(model.keys() - connection + connections - 1) / connections];
        for (int i = 0; i < keys.length; i++) {
            keys[i] = connection + i * connections;
        }
        RandomGenerator random = new SplittableRandom(Mix.mix(order, connection, model.keys()));
        for (int i = keys.length - 1; i > 0; i--) {
            int other = random.nextInt(i + 1);
            int key = keys[i];
            keys[i] = keys[other];
            keys[other] = key;
        }
        return keys;
    }

    /** Each key once, on its own connection, all connections in about the same place. */
    abstract static class Pass implements Client.Source {
        /** No connection is this many keys ahead of another: neighbours stay together in the server's cache. */
        private static final int LEAD = 2048;

        private final int[] keys;
        private final int connections;
        private final int[] position;
        private int left;

        Pass(int[] keys, int connections) {
            this.keys = keys;
            this.connections = connections;
            position = new int[connections];
            left = keys.length;
        }

        /** The next key of this connection; -1 if there is none, or none yet. */
        int nextKey(int connection) {
            int at = position[connection];
            while (at < keys.length && keys[at] % connections != connection) {
                at++;
            }
            position[connection] = at;
            if (at == keys.length || at > slowest() + LEAD) {
                return -1;
            }
            position[connection] = at + 1;
            left--;
            return keys[at];
        }

        /** Keys not asked for yet. */
        int left() {
            return left;
        }

        int total() {
            return keys.length;
        }

        private int slowest() {
            int slowest = keys.length;
            for (int each : position) {
                slowest = Math.min(slowest, each);
            }
            return slowest;
        }
    }
}
