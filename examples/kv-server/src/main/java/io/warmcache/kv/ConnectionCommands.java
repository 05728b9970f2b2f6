/* Copyright 2026 The warmcache authors. SPDX-License-Identifier: Apache-2.0 */
package io.warmcache.kv;

import io.warmcache.kv.Command.Flag;
import java.nio.charset.StandardCharsets;

/** PING, ECHO, HELLO, AUTH, SELECT, CLIENT, QUIT. */
final class ConnectionCommands {
    private ConnectionCommands() {}

    static void register(CommandTable table) {
        table.add("ping", -1, ConnectionCommands::ping, Flag.FAST);
        table.add("echo", 2, (session, request) -> session.reply().bulk(request.bytes(1)), Flag.FAST);
        table.add("hello", -1, ConnectionCommands::hello, Flag.FAST, Flag.NO_AUTH);
        table.add("auth", -2, ConnectionCommands::auth, Flag.FAST, Flag.NO_AUTH);
        table.add("select", 2, ConnectionCommands::select, Flag.FAST);
        table.add("client", -2, ConnectionCommands::client);
        table.add("quit", -1, ConnectionCommands::quit, Flag.FAST, Flag.NO_AUTH);
    }

    private static void ping(Session session, Request request) throws CommandException {
        if (request.size() > 2) {
            throw CommandException.wrongArity("ping");
        }
        if (request.size() == 2) {
            session.reply().bulk(request.bytes(1));
        } else {
            session.reply().simple("PONG");
        }
    }

    private static void hello(Session session, Request request) throws CommandException {
        int protocol = session.reply().protocol();
        int next = 1;
        if (request.size() > 1) {
            long version;
            try {
                version = request.integer(1);
            } catch (CommandException e) {
                throw new CommandException("ERR Protocol version is not an integer or out of range");
            }
            if (version != 2 && version != 3) {
                throw new CommandException("NOPROTO unsupported protocol version");
            }
            protocol = (int) version;
            next = 2;
        }
        String name = null;
        boolean passwordGiven = false;
        while (next < request.size()) {
            int more = request.size() - next - 1;
            switch (request.word(next)) {
                case "auth" -> {
                    if (more < 2) {
                        throw helloSyntax(request, next);
                    }
                    login(session, request.text(next + 1), request.bytes(next + 2));
                    passwordGiven = true;
                    next += 3;
                }
                case "setname" -> {
                    if (more < 1) {
                        throw helloSyntax(request, next);
                    }
                    name = clientName(request, next + 1);
                    next += 2;
                }
                default -> throw helloSyntax(request, next);
            }
        }
        if (!session.isAuthenticated() && !passwordGiven) {
            throw new CommandException("NOAUTH HELLO must be called with the client already authenticated, otherwise"
                    + " the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select"
                    + " the RESP protocol version at the same time");
        }
        if (name != null) {
            session.setName(name);
        }
        ReplyWriter reply = session.reply();
        reply.setProtocol(protocol);
        reply.map(7);
        reply.bulk("server");
        reply.bulk("redis");
        reply.bulk("version");
        reply.bulk(Server.REDIS_VERSION);
        reply.bulk("proto");
        reply.integer(protocol);
        reply.bulk("id");
        reply.integer(session.id());
        reply.bulk("mode");
        reply.bulk("standalone");
        reply.bulk("role");
        reply.bulk("master");
        reply.bulk("modules");
        reply.array(0);
    }

    private static CommandException helloSyntax(Request request, int at) {
        return new CommandException("ERR Syntax error in HELLO option '" + request.text(at) + "'");
    }

    private static void auth(Session session, Request request) throws CommandException {
        if (request.size() > 3) {
            throw CommandException.syntax();
        }
        if (request.size() == 2 && !session.server().config().needsPassword()) {
            throw new CommandException("ERR AUTH <password> called without any password configured for the default"
                    + " user. Are you sure your configuration is correct?");
        }
        String user = request.size() == 3 ? request.text(1) : "default";
        login(session, user, request.bytes(request.size() - 1));
        session.reply().ok();
    }

    private static void login(Session session, String user, byte[] password) throws CommandException {
        if (!user.equals("default") || !session.server().config().acceptsPassword(password)) {
            throw new CommandException("WRONGPASS invalid username-password pair or user is disabled.");
        }
        session.setAuthenticated();
    }

    private static void select(Session session, Request request) throws CommandException {
        long database = request.integer(1);
        if (database < 0 || database >= Storage.DATABASES) {
            throw new CommandException("ERR DB index is out of range");
        }
        session.select((int) database);
        session.reply().ok();
    }

    private static void client(Session session, Request request) throws CommandException {
        String subcommand = request.word(1);
        ReplyWriter reply = session.reply();
        switch (subcommand) {
            case "id" -> {
                ServerCommands.requireArguments(request, 2);
                reply.integer(session.id());
            }
            case "getname" -> {
                ServerCommands.requireArguments(request, 2);
                reply.bulk(session.name().isEmpty() ? null : session.name().getBytes(StandardCharsets.ISO_8859_1));
            }
            case "setname" -> {
                ServerCommands.requireArguments(request, 3);
                session.setName(clientName(request, 2));
                reply.ok();
            }
            case "setinfo" -> {
                ServerCommands.requireArguments(request, 4);
                String attribute = request.word(2);
                if (!attribute.equals("lib-name") && !attribute.equals("lib-ver")) {
                    throw new CommandException("ERR Unrecognized option '" + request.text(2) + "'");
                }
                if (isUnprintable(request.text(3))) {
                    throw new CommandException("ERR " + attribute
                            + " cannot contain spaces, newlines or special characters.");
                }
                reply.ok();
            }
            case "info" -> {
                ServerCommands.requireArguments(request, 2);
                reply.verbatim("id=" + session.id() + " addr=" + session.address() + " name=" + session.name() + " db="
                        + session.keyspace().number() + " resp=" + reply.protocol() + "\n");
            }
            default -> throw ServerCommands.unknownSubcommand(request);
        }
    }

    private static String clientName(Request request, int at) throws CommandException {
        String name = request.text(at);
        if (isUnprintable(name)) {
            throw new CommandException("ERR Client names cannot contain spaces, newlines or special characters.");
        }
        return name;
    }

    private static boolean isUnprintable(String text) {
        return text.chars().anyMatch(c -> c < '!' || c > '~');
    }

    private static void quit(Session session, Request request) {
        session.reply().ok();
        session.closeAfterReplies();
    }
}
