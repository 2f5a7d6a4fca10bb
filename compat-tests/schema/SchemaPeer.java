// SchemaPeer: random messages, written by Apache Kafka's own classes, go to our decoder; what it encodes again must be
// the same bytes, and Apache's classes must read it back as the same message.
//
//     java -cp 'LIBS/*' SchemaPeer.java LIBS TRANSCODER ROUNDS SEED
//
// Prints a line "ok NAME VERSION" or "bad NAME VERSION what" for each message and version that the jars in LIBS carry.
// Which fields a version has, and which may be null, is taken from the Schema objects inside Kafka's classes.

import java.io.*;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.jar.*;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

public class SchemaPeer {
    static final Map<String, String> classes = new HashMap<>();  // Simple name -> full name, of generated messages.
    static DataOutputStream toUs;
    static DataInputStream fromUs;
    static Random random;
    static boolean nullRecords;  // May records be null? Their Schema does not say.

    public static void main(String[] args) throws Exception {
        for (File jar : new File(args[0]).listFiles((folder, name) -> name.endsWith(".jar") && name.contains("kafka")))
            try (JarFile file = new JarFile(jar)) {
                file.stream().map(JarEntry::getName).filter(n -> n.matches(".*/(message|generated|common/metadata)/[A-Za-z]+\\.class"))
                    .forEach(n -> classes.put(n.replaceAll(".*/|\\.class", ""), n.replace('/', '.').replace(".class", "")));
            }
        Process us = new ProcessBuilder(args[1]).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        toUs = new DataOutputStream(new BufferedOutputStream(us.getOutputStream()));
        fromUs = new DataInputStream(new BufferedInputStream(us.getInputStream()));
        int rounds = Integer.parseInt(args[2]);
        long seed = Long.parseLong(args[3]);
        for (String line : new String(ask("", (short) 0, new byte[0]), StandardCharsets.UTF_8).split("\n")) {
            String[] words = line.split(" ");
            check(words[0], Short.parseShort(words[1]), Short.parseShort(words[2]), rounds, seed);
            if (words[0].startsWith("ListConfigResources"))  // Kafka called version 0 so until 4.0.
                check(words[0].replace("ConfigResources", "ClientMetricsResources"), (short) 0, (short) 0, rounds, seed);
        }
        toUs.close();
        System.exit(us.waitFor());
    }

    static void check(String name, short low, short high, int rounds, long seed) throws Exception {
        String found = classes.getOrDefault(name + "Data", classes.get(name));
        if (found == null) return;
        Class<?> type = Class.forName(found);
        Message example = (Message) type.getConstructor().newInstance();
        // Until 4.0 the version of a coordinator's key was the type of the record.
        boolean keyed = name.endsWith("Key") && example.highestSupportedVersion() > 0;
        for (short version = low; version <= high; ++version) {
            short theirs = keyed ? example.highestSupportedVersion() : version;
            if (theirs < example.lowestSupportedVersion() || theirs > example.highestSupportedVersion()) continue;
            random = new Random(seed * 31 + name.hashCode() * 1000003L + version);
            String bad = null;
            for (int round = 0; round < rounds && bad == null; ++round) bad = compare(type, name, version, theirs, round);
            System.out.println(bad == null ? "ok " + name + " " + version : "bad " + name + " " + version + " " + bad);
        }
    }

    // What differs, or null.
    static String compare(Class<?> type, String name, short version, short theirs, int round) throws Exception {
        Schema schema = schemaOf(type, theirs);
        Message message;
        byte[] bytes;
        nullRecords = round % 4 == 0;
        for (;;) {
            message = (Message) fill(type, schema, theirs, round);
            try {
                bytes = write(message, theirs);
                break;
            } catch (NullPointerException e) {
                if (!nullRecords) throw e;
                nullRecords = false;
            }
        }
        String ourName = name.replace("ClientMetricsResources", "ConfigResources");
        byte[] ours = ask(ourName, version, bytes);
        if (ours == null) return "refused: " + hex(bytes);
        if (!Arrays.equals(ours, bytes)) return "wrote " + hex(bytes) + " and got " + hex(ours);
        Message again = (Message) type.getConstructor().newInstance();
        ByteBuffer buffer = ByteBuffer.wrap(ours);
        again.read(new ByteBufferAccessor(buffer), theirs);
        if (buffer.hasRemaining()) return "left over: " + buffer.remaining() + " of " + hex(ours);
        if (!again.equals(message)) return "reads back as another: " + again + " not " + message;
        return null;
    }

    static byte[] write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    // Our encoding of the same message, or null when we refused it.
    static byte[] ask(String name, short version, byte[] bytes) throws IOException {
        byte[] head = name.getBytes(StandardCharsets.UTF_8);
        toUs.writeInt(1 + head.length + 2 + bytes.length);
        toUs.writeByte(head.length);
        toUs.write(head);
        toUs.writeShort(version);
        toUs.write(bytes);
        toUs.flush();
        byte[] answer = fromUs.readNBytes(fromUs.readInt());
        return answer[0] == 1 ? Arrays.copyOfRange(answer, 1, answer.length) : null;
    }

    static Schema schemaOf(Class<?> type, short version) throws Exception {
        return ((Schema[]) type.getField("SCHEMAS").get(null))[version];
    }

    // A message or a struct of it, with the fields of its schema set to anything. Round 0 leaves all at their defaults.
    static Object fill(Class<?> type, Schema schema, short version, int round) throws Exception {
        Object made = type.getConstructor().newInstance();
        Map<String, Type> fields = new HashMap<>();
        Set<String> tagged = new HashSet<>();
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tags) {
                for (Field tag : ((Map<?, Field>) hidden(tags, Map.class)).values()) {
                    fields.put(plain(tag.name), tag.type);
                    tagged.add(plain(tag.name));
                }
            } else {
                fields.put(plain(field.def.name), field.def.type);
            }
        }
        Method[] setters = type.getMethods();    // In no particular order, and the same seed is to give the same messages.
        Arrays.sort(setters, Comparator.comparing(Method::getName));
        for (Method setter : setters) {
            String name = plain(setter.getName().replaceFirst("^set", ""));
            if (!setter.getName().startsWith("set") || setter.getParameterCount() != 1 || !fields.containsKey(name)) continue;
            Type wire = fields.remove(name);
            if (round == 0 || tagged.contains(name) && random.nextInt(3) == 0) continue;
            if (wire.isNullable() && random.nextInt(4) == 0 && (nullRecords || !isRecords(wire))) {
                setter.invoke(made, new Object[] {null});
            } else {
                setter.invoke(made, value(setter.getParameterTypes()[0], setter.getGenericParameterTypes()[0], wire, version, round));
            }
        }
        if (!fields.isEmpty()) throw new IllegalStateException(type + " has no setters for " + fields.keySet());
        return made;
    }

    static boolean isRecords(Type wire) {
        return wire == Type.RECORDS || wire == Type.COMPACT_RECORDS;
    }

    static String plain(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    static Object value(Class<?> type, java.lang.reflect.Type generic, Type wire, short version, int round) throws Exception {
        if (type == boolean.class || type == Boolean.class) return random.nextBoolean();
        if (type == byte.class || type == Byte.class) return (byte) number();
        if (type == short.class || type == Short.class) return (short) number();
        if (type == int.class || type == Integer.class) return wire == Type.UINT16 ? (int) number() & 0xffff : (int) number();
        if (type == long.class || type == Long.class) return number();
        if (type == double.class || type == Double.class) return random.nextDouble() * number();
        if (type == String.class) return text();
        if (type == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
        if (type == byte[].class) return bytes();
        if (type == ByteBuffer.class) return ByteBuffer.wrap(bytes());
        if (type.getSimpleName().equals("BaseRecords")) return records(bytes());
        if (Message.class.isAssignableFrom(type)) return fill(type, struct(wire), version, round);
        Class<?> element = (Class<?>) (generic instanceof ParameterizedType list ? list.getActualTypeArguments()[0]
            : ((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[0]);
        @SuppressWarnings("unchecked")
        Collection<Object> elements = type == List.class ? new ArrayList<>() : (Collection<Object>) type.getConstructor().newInstance();
        Type inner = wire.arrayElementType().get();
        int count = random.nextInt(20) == 0 && !Message.class.isAssignableFrom(element) ? 130 : random.nextInt(4);
        for (int i = 0; i < count; ++i) elements.add(value(element, element, inner, version, round));
        return elements;
    }

    // The Schema of a struct, which is wrapped when the struct may be null.
    static Schema struct(Type wire) throws Exception {
        return wire instanceof Schema schema ? schema : hidden(wire, Schema.class);
    }

    // The private member of that type.
    @SuppressWarnings("unchecked")
    static <T> T hidden(Object of, Class<?> type) throws Exception {
        for (java.lang.reflect.Field field : of.getClass().getDeclaredFields()) {
            field.setAccessible(true);
            if (type.isInstance(field.get(of))) return (T) field.get(of);
        }
        throw new IllegalStateException("no " + type + " in " + of);
    }

    // MemoryRecords, which lies in another package since 4.4.
    static Object records(byte[] bytes) throws Exception {
        Class<?> type;
        try {
            type = Class.forName("org.apache.kafka.common.record.MemoryRecords");
        } catch (ClassNotFoundException e) {
            type = Class.forName("org.apache.kafka.common.record.internal.MemoryRecords");
        }
        return type.getMethod("readableRecords", ByteBuffer.class).invoke(null, ByteBuffer.wrap(bytes));
    }

    static long number() {
        return switch (random.nextInt(6)) {
            case 0 -> 0;
            case 1 -> -1;
            case 2 -> random.nextInt(100);
            case 3 -> Long.MAX_VALUE;
            case 4 -> Long.MIN_VALUE;
            default -> random.nextLong();
        };
    }

    static int length() {
        return random.nextInt(10) == 0 ? 120 + random.nextInt(20) : random.nextInt(9);
    }

    static byte[] bytes() {
        byte[] bytes = new byte[length()];
        random.nextBytes(bytes);
        return bytes;
    }

    static String text() {
        StringBuilder text = new StringBuilder();
        for (int left = length(); left > 0; --left) text.append(random.nextInt(8) == 0 ? "é" : (char) ('a' + random.nextInt(26)));
        return text.toString();
    }

    static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }
}
