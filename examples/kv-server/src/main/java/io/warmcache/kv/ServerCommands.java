/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.kv.Command.Flag;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/** COMMAND, CONFIG GET, INFO, SHUTDOWN. */
final class ServerCommands {
    private ServerCommands() {}

    static void register(CommandTable table) {
        table.add("command", -1, (session, request) -> command(table, session, request));
        table.add("config", -2, ServerCommands::config, Flag.ADMIN);
        table.add("info", -1, ServerCommands::info);
        table.add("shutdown", -1, ServerCommands::shutdown, Flag.ADMIN);
    }

    static void requireArguments(Request request, int number) throws CommandException {
        if (request.size() != number) {
            throw CommandException.wrongArity(request.word(0) + "|" + request.word(1));
        }
    }

    static CommandException unknownSubcommand(Request request) {
        return new CommandException("ERR unknown subcommand '" + request.text(1) + "'. Try "
                + request.text(0).toUpperCase(Locale.ROOT) + " HELP.");
    }

    private static void command(CommandTable table, Session session, Request request) throws CommandException {
        ReplyWriter reply = session.reply();
        if (request.size() == 1) {
            reply.array(table.size());
            table.all().forEach(each -> describe(each, reply));
            return;
        }
        switch (request.word(1)) {
            case "count" -> {
                requireArguments(request, 2);
                reply.integer(table.size());
            }
            case "info" -> {
                if (request.size() == 2) {
                    reply.array(table.size());
                    table.all().forEach(each -> describe(each, reply));
                    return;
                }
                reply.array(request.size() - 2);
                for (int i = 2; i < request.size(); i++) {
                    Command each = table.find(request.word(i));
                    if (each == null) {
                        reply.nothing();
                    } else {
                        describe(each, reply);
                    }
                }
            }
            // clients that want help texts find that there are none
            case "docs" -> reply.map(0);
            case "list" -> {
                requireArguments(request, 2);
                reply.array(table.size());
                table.all().forEach(each -> reply.bulk(each.name()));
            }
            default -> throw unknownSubcommand(request);
        }
    }

    private static void describe(Command command, ReplyWriter reply) {
        List<String> flags = command.flags().stream()
                .filter(flag -> flag != Flag.SLOW)
                .map(flag -> flag.name().toLowerCase(Locale.ROOT))
                .toList();
        reply.array(10);
        reply.bulk(command.name());
        reply.integer(command.arity());
        reply.set(flags.size());
        flags.forEach(reply::simple);
        reply.integer(command.firstKey());
        reply.integer(command.lastKey());
        reply.integer(command.keyStep());
        // access categories, tips, key specifications, subcommands
        reply.set(0);
        reply.array(0);
        reply.array(0);
        reply.array(0);
    }

    private static void config(Session session, Request request) throws CommandException {
        if (!request.word(1).equals("get")) {
            throw unknownSubcommand(request);
        }
        if (request.size() < 3) {
            throw CommandException.wrongArity("config|get");
        }
        Map<String, String> found = new LinkedHashMap<>();
        session.server().parameters().forEach((name, value) -> {
            byte[] text = name.getBytes(StandardCharsets.ISO_8859_1);
            if (request.from(2).stream().anyMatch(pattern -> Glob.matches(Request.toLowerCase(pattern), text))) {
                found.put(name, value);
            }
        });
        session.reply().stringMap(found);
    }

    private static void info(Session session, Request request) {
        List<String> sections =
                IntStream.range(1, request.size()).mapToObj(request::word).toList();
        session.reply().verbatim(session.server().info(sections));
    }

    private static void shutdown(Session session, Request request) throws CommandException {
        for (int i = 1; i < request.size(); i++) {
            switch (request.word(i)) {
                // what was written is kept in any case: there is nothing that NOSAVE could spare
                case "save", "nosave", "now", "force" -> { }
                case "abort" -> throw new CommandException("ERR No shutdown in progress.");
                default -> throw CommandException.syntax();
            }
        }
        session.closeAfterReplies();
        session.server().requestShutdown();
    }
}
