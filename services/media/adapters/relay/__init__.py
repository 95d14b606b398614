"""The user-space relay: an epoll loop in processes of its own.

Not in threads: a thread of ours would wait for the interpreter lock twice per packet, and the
control loop for it. Sockets are opened by the control process, which keeps a duplicate of each:
a worker that dies is started again with the same sockets, and finds in :mod:`.records` what its
predecessor had learned and counted. When the control process dies, workers relay on, and the
next one finds them by :mod:`.rendezvous`.
"""
