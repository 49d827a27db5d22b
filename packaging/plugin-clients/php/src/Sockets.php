<?php

namespace Plugmend\PluginClient;

/** The agent's sockets. Nothing here waits: what can not be handed over at once is not handed over. */
final class Sockets
{
    /** The longest datagram: the agent takes 8,192 bytes. */
    public const MAX_DATAGRAM = 8000;

    /** @var string|null */
    private $stream;
    /** @var string|null */
    private $datagrams;

    /** @param mixed $socket the agent's `telemetry.socket` @param mixed $udp its `telemetry.udp` */
    public function __construct($socket, $udp)
    {
        if (is_string($socket) && $socket !== '' && $socket[0] === '/') {
            $this->stream = 'unix://' . $socket;
            $this->datagrams = 'udg://' . $socket . '.dgram';
        } elseif (is_string($udp) && preg_match('/^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d{1,5}$/D', $udp)) {
            // An address, never a name: looking a name up can block, and telemetry stays on this machine.
            $this->datagrams = 'udp://' . $udp;
        }
    }

    /** Whether lines of JSON can be said. */
    public function hasStream(): bool
    {
        return $this->stream !== null;
    }

    /** Whether there is anywhere to speak to. */
    public function hasDatagrams(): bool
    {
        return $this->datagrams !== null;
    }

    /** Hands lines of JSON over. False when nothing of it was taken. */
    public function sendStream(string $lines): bool
    {
        return $this->stream !== null && (int) self::send($this->stream, [$lines]) > 0;
    }

    /**
     * Hands datagrams over, in order. How many were taken.
     *
     * @param string[] $datagrams
     */
    public function sendDatagrams(array $datagrams): int
    {
        return $this->datagrams === null ? 0 : (int) self::send($this->datagrams, $datagrams);
    }

    /**
     * @param string[] $pieces
     */
    private static function send(string $address, array $pieces): int
    {
        return (int) Quiet::run(static function () use ($address, $pieces) {
            // Asynchronous: where a full listener would make connect() wait, it fails.
            $flags = STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT;
            $socket = stream_socket_client($address, $number, $words, 0, $flags);
            if ($socket === false) {
                return 0;
            }
            stream_set_blocking($socket, false);
            stream_set_write_buffer($socket, 0);
            $taken = 0;
            foreach ($pieces as $piece) {
                // A part of it counts as taken: to say it again elsewhere would be to count it twice.
                if ((int) fwrite($socket, $piece) === 0) {
                    break;
                }
                $taken++;
            }
            fclose($socket);
            return $taken;
        }, 0);
    }
}
