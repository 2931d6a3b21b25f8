// Takes Tocsin's webhooks and checks who sent them. Java 11 or newer; start it with the secret that Tocsin showed once:
//
//     TOCSIN_WEBHOOK_SECRET=whsec_… PORT=9000 java Receiver.java

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
    static final long TOLERANCE_S = 300;
    static final int MOST_BYTES = 1_000_000;
    static final String SECRET = System.getenv("TOCSIN_WEBHOOK_SECRET").replaceFirst("^whsec_", "");
    static final byte[] KEY = Base64.getDecoder().decode(SECRET);

    /** Whether the body, as it came, was signed with our secret within the last five minutes. */
    static boolean verified(String id, String at, String signatures, byte[] body) throws GeneralSecurityException {
        if (!at.matches("[0-9]{1,12}")) return false;
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(at)) > TOLERANCE_S) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
        mac.update((id + "." + at + ".").getBytes(StandardCharsets.UTF_8));
        byte[] right = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        // Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
        for (String one : signatures.split(" "))
            if (MessageDigest.isEqual(right, one.getBytes(StandardCharsets.UTF_8))) return true;
        return false;
    }

    static String header(HttpExchange exchange, String name) {
        String value = exchange.getRequestHeaders().getFirst(name);
        return value == null ? "" : value;
    }

    static void receive(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readNBytes(MOST_BYTES);
            String id = header(exchange, "webhook-id");
            String at = header(exchange, "webhook-timestamp");
            boolean known = verified(id, at, header(exchange, "webhook-signature"), body);
            exchange.sendResponseHeaders(known ? 204 : 401, -1); // answer first; work that takes time comes afterwards
            // The id is the same in every attempt: what was done for it need not be done again.
            if (known) System.out.println("verified " + id.replaceAll("[^\\w-]", "?") + " " + body.length + " bytes");
        } catch (GeneralSecurityException error) {
            throw new IOException(error);
        }
    }

    public static void main(String[] arguments) throws IOException {
        if (KEY.length < 24)
            throw new IllegalStateException("TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more");
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9000"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", Receiver::receive);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
