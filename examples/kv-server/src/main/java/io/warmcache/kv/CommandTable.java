/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import java.util.Collection;
import java.util.EnumSet;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** All commands by name. */
final class CommandTable {
    private static final int UNKNOWN_NAME_SHOWN = 128;

    private final Map<String, Command> commands = new HashMap<>();

    CommandTable() {
        ConnectionCommands.register(this);
        StringCommands.register(this);
        KeyCommands.register(this);
        ServerCommands.register(this);
    }

    /** A command without keys. */
    void add(String name, int arity, Command.Handler run, Command.Flag... flags) {
        add(name, arity, 0, 0, 0, run, flags);
    }

    /** A command whose one key is its first argument. */
    void addKeyed(String name, int arity, Command.Handler run, Command.Flag... flags) {
        add(name, arity, 1, 1, 1, run, flags);
    }

    /** A command whose arguments are keys, or groups of {@code step} that start with one. */
    void addManyKeyed(String name, int arity, int step, Command.Handler run, Command.Flag... flags) {
        add(name, arity, 1, -1, step, run, flags);
    }

    private void add(
            String name,
            int arity,
            int firstKey,
            int lastKey,
            int keyStep,
            Command.Handler run,
            Command.Flag... flags) {
        Set<Command.Flag> set = EnumSet.noneOf(Command.Flag.class);
        set.addAll(Set.of(flags));
        Command command = new Command(name, arity, set, firstKey, lastKey, keyStep, run);
        if (commands.put(name, command) != null) {
            throw new IllegalStateException("two commands are named " + name);
        }
    }

    @Nullable Command find(String name) {
        return commands.get(name);
    }

    int size() {
        return commands.size();
    }

    Collection<Command> all() {
        SortedMap<String, Command> sorted = new TreeMap<>(commands);
        return sorted.values();
    }

    /**
     * The command that {@code request} names, if it may be run.
     *
     * @throws CommandException if there is none, it takes another number of arguments, or needs authentication
     */
    Command resolve(Session session, Request request) throws CommandException {
        Command command = find(request.word(0));
        if (command == null) {
            throw unknown(request);
        }
        if (!command.accepts(request.size())) {
            throw CommandException.wrongArity(command.name());
        }
        if (!session.isAuthenticated() && !command.is(Command.Flag.NO_AUTH)) {
            throw new CommandException("NOAUTH Authentication required.");
        }
        return command;
    }

    private static CommandException unknown(Request request) {
        StringBuilder arguments = new StringBuilder();
        for (int i = 1; i < request.size() && arguments.length() < UNKNOWN_NAME_SHOWN; i++) {
            int room = UNKNOWN_NAME_SHOWN - arguments.length();
            arguments.append('\'').append(shorten(request.text(i), room)).append("' ");
        }
        return new CommandException("ERR unknown command '" + shorten(request.text(0), UNKNOWN_NAME_SHOWN)
                + "', with args beginning with: " + arguments);
    }

    private static String shorten(String text, int length) {
        return text.substring(0, Math.min(length, text.length()));
    }
}
